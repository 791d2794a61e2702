#include "bindings.hpp"
#include "gprat/error.hpp"

namespace gprat::bindings {

namespace nb = nanobind;

// Python sees _core.NotPositiveDefinite(pivot, is_finite); the engine turns it into the public
// exception, which knows the data.
void bind_errors(nb::module_& module) {
    static PyObject* not_positive_definite = nullptr;
    not_positive_definite =
        PyErr_NewException("gprat._core.NotPositiveDefinite", PyExc_ArithmeticError, nullptr);
    module.attr("NotPositiveDefinite") = nb::borrow(not_positive_definite);

    nb::register_exception_translator(
        [](const std::exception_ptr& error, void*) {
            try {
                std::rethrow_exception(error);
            } catch (const NotPositiveDefinite& e) {
                PyErr_SetObject(not_positive_definite, nb::make_tuple(e.pivot, e.is_finite).ptr());
            } catch (const InvalidArgument& e) {
                PyErr_SetString(PyExc_ValueError, e.what());
            }
        },
        nullptr);
}

}  // namespace gprat::bindings
