#include "bindings.hpp"
#include "gprat/error.hpp"

namespace gprat::bindings {

namespace nb = nanobind;

// Python sees _core.NotPositiveDefinite(pivot, is_finite), _core.RankDeficient(column) and
// _core.TooFewThreads(wanted, given); the engine turns them into the public exceptions, which know
// the data and the remedies.
void bind_errors(nb::module_& module) {
    static PyObject* not_positive_definite = nullptr;
    not_positive_definite =
        PyErr_NewException("gprat._core.NotPositiveDefinite", PyExc_ArithmeticError, nullptr);
    module.attr("NotPositiveDefinite") = nb::borrow(not_positive_definite);
    static PyObject* rank_deficient = nullptr;
    rank_deficient =
        PyErr_NewException("gprat._core.RankDeficient", PyExc_ArithmeticError, nullptr);
    module.attr("RankDeficient") = nb::borrow(rank_deficient);
    static PyObject* too_few_threads = nullptr;
    too_few_threads = PyErr_NewException("gprat._core.TooFewThreads", PyExc_RuntimeError, nullptr);
    module.attr("TooFewThreads") = nb::borrow(too_few_threads);

    nb::register_exception_translator(
        [](const std::exception_ptr& error, void*) {
            try {
                std::rethrow_exception(error);
            } catch (const NotPositiveDefinite& e) {
                PyErr_SetObject(not_positive_definite, nb::make_tuple(e.pivot, e.is_finite).ptr());
            } catch (const RankDeficient& e) {
                PyErr_SetObject(rank_deficient, nb::make_tuple(e.column).ptr());
            } catch (const TooFewThreads& e) {
                PyErr_SetObject(too_few_threads, nb::make_tuple(e.wanted, e.given).ptr());
            } catch (const InvalidArgument& e) {
                PyErr_SetString(PyExc_ValueError, e.what());
            }
        },
        nullptr);
}

}  // namespace gprat::bindings
