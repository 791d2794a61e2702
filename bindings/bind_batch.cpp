#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gprat/gp/batch.hpp"
#include "interruptible.hpp"
#include "problem.hpp"

namespace gprat::bindings {

using namespace nb::literals;

namespace {

gp::MemberRows make_rows(const VectorIn<index_t>& offsets, index_t rows) {
    gp::MemberRows result{{offsets.data(), offsets.data() + offsets.size()}};
    const auto& values = result.offsets;
    if (values.size() < 2 || values.front() != 0 || values.back() != rows ||
        !std::ranges::is_sorted(values))
        throw InvalidArgument("offsets must ascend from 0 to the number of rows");
    return result;
}

/// Two numbers for each of a selection: the cause, and the row or column.
nb::object to_numpy(const std::vector<gp::MemberFailure>& failures) {
    const auto count = std::ssize(failures);
    Buffer<index_t> numbers(2 * count);
    for (index_t i = 0; i < count; ++i) {
        numbers[2 * i] = static_cast<index_t>(failures[i].cause);
        numbers[2 * i + 1] = failures[i].position;
    }
    return to_numpy(std::move(numbers), count, 2, Order::row_major);
}

template <class T>
class BatchPosteriorOfArrays;

/// A batch with the arrays that it reads; Python keeps the program alive.
template <class T>
class BatchOfArrays {
public:
    BatchOfArrays(const covariance::Program& program, const VectorIn<std::uint8_t>& is_free,
                  MatrixIn<T> x, VectorIn<T> y, MatrixIn<T> basis, const VectorIn<index_t>& offsets)
        : x_(std::move(x)),
          y_(std::move(y)),
          basis_(std::move(basis)),
          batch_{program,
                 {is_free.data(), is_free.data() + is_free.size()},
                 as_points(x_),
                 transposed(basis_),
                 make_rows(offsets, rows_of(x_)),
                 y_.data()} {
        const auto targets = static_cast<index_t>(y_.size()), rows = rows_of(x_);
        const bool fits =
            batch_.rows.are_shared() ? rows > 0 && targets % rows == 0 : targets == rows;
        if (!fits || rows_of(basis_) != rows)
            throw InvalidArgument("X, y and basis have different numbers of rows");
        size_ = batch_.rows.are_shared() ? targets / rows : std::ssize(batch_.rows.offsets) - 1;
    }

    const gp::Batch<T>& batch() const { return batch_; }
    index_t size() const { return size_; }

    gp::Selection select(const VectorIn<index_t>& members, const MatrixIn<double>& parameters,
                         const VectorIn<double>& noise) const {
        const gp::Selection selection{{members.data(), members.size()},
                                      {parameters.data(), parameters.size()},
                                      {noise.data(), noise.size()}};
        const auto exists = [this](index_t member) { return member >= 0 && member < size_; };
        if (rows_of(parameters) != selection.size() || noise.size() != members.size() ||
            columns_of(parameters) != batch_.program.parameter_count() ||
            !std::ranges::all_of(selection.members, exists))
            throw InvalidArgument("the hyperparameters do not fit the members");
        return selection;
    }

    nb::tuple evaluate(const VectorIn<index_t>& members, const MatrixIn<double>& parameters,
                       const VectorIn<double>& noise, bool gradient, int threads) const {
        const auto selection = select(members, parameters, noise);
        const index_t r = selection.size(), p = columns_of(parameters);
        Buffer<double> values(r), by_parameters(gradient ? r * p : 0), by_noise(gradient ? r : 0);
        std::vector<gp::MemberFailure> failures;
        const gp::Likelihoods results{values.data(), gradient ? by_parameters.data() : nullptr,
                                      gradient ? by_noise.data() : nullptr};
        run_interruptibly(threads, [&](const auto& options) {
            failures = gp::evaluate<T>(batch_, selection, results, options);
        });
        return nb::make_tuple(
            bindings::to_numpy(std::move(values), r),
            gradient ? bindings::to_numpy(std::move(by_parameters), r, p, Order::row_major)
                     : nb::none(),
            gradient ? bindings::to_numpy(std::move(by_noise), r) : nb::none(), to_numpy(failures));
    }

    BatchPosteriorOfArrays<T>* condition(const VectorIn<index_t>& members,
                                         const MatrixIn<double>& parameters,
                                         const VectorIn<double>& noise, int threads) const {
        const auto selection = select(members, parameters, noise);
        std::optional<gp::BatchPosterior<T>> posterior;
        run_interruptibly(
            threads, [&](const auto& options) { posterior.emplace(batch_, selection, options); });
        return new BatchPosteriorOfArrays<T>(*this, std::move(*posterior));
    }

private:
    MatrixIn<T> x_;
    VectorIn<T> y_;
    MatrixIn<T> basis_;
    gp::Batch<T> batch_;
    index_t size_ = 0;
};

template <class T>
class BatchPosteriorOfArrays {
public:
    /// Python keeps the batch alive.
    BatchPosteriorOfArrays(const BatchOfArrays<T>& batch, gp::BatchPosterior<T> posterior)
        : batch_(batch), posterior_(std::move(posterior)) {}

    /// Means; variances or covariances, if any; and for each of the selection how many variances
    /// were clipped, the worst of them, and failures.
    nb::tuple predict(int what, const MatrixIn<T>& x, const MatrixIn<T>& basis,
                      const VectorIn<index_t>& offsets, int threads) {
        const auto prediction = static_cast<gp::Prediction>(what);
        const gp::BatchTestPoints<T> test{{as_points(x), transposed(basis)},
                                          make_rows(offsets, rows_of(x))};
        check(test);
        const index_t b = batch_.size(), m = test.rows.own_begin(b - 1) + test.rows.count(b - 1);
        const index_t size = spread_size(prediction, test.rows, m);
        Buffer<T> mean(m), spread(size);
        std::vector<gp::Clipping> clipping(static_cast<std::size_t>(posterior_.size()));
        std::vector<gp::MemberFailure> failures;
        run_interruptibly(threads, [&](const auto& options) {
            failures = posterior_.predict(prediction, test, {mean.data(), spread.data(), clipping},
                                          options);
        });
        Buffer<index_t> counts(posterior_.size());
        Buffer<double> worst(posterior_.size());
        for (index_t i = 0; i < posterior_.size(); ++i) {
            counts[i] = clipping[i].count;
            worst[i] = clipping[i].worst;
        }
        const index_t r = posterior_.size();
        return nb::make_tuple(bindings::to_numpy(std::move(mean), m),
                              bindings::to_numpy(std::move(spread), size),
                              bindings::to_numpy(std::move(counts), r),
                              bindings::to_numpy(std::move(worst), r), to_numpy(failures));
    }

private:
    void check(const gp::BatchTestPoints<T>& test) const {
        const auto& batch = batch_.batch();
        const bool fits =
            test.rows.are_shared() || std::ssize(test.rows.offsets) == batch_.size() + 1;
        if (!fits || test.points.basis_t.cols != test.points.count() ||
            test.points.basis_t.rows != batch.basis_t.rows ||
            test.points.points.dimension != batch.inputs.dimension)
            throw InvalidArgument("the test points do not fit the members");
    }

    index_t spread_size(gp::Prediction what, const gp::MemberRows& rows, index_t m) const {
        if (what != gp::Prediction::covariance) return what == gp::Prediction::mean ? 0 : m;
        index_t size = 0;
        for (index_t i = 0; i < batch_.size(); ++i) size += rows.count(i) * rows.count(i);
        return size;
    }

    const BatchOfArrays<T>& batch_;
    gp::BatchPosterior<T> posterior_;
};

template <class T>
void bind_for(nb::module_& module, const std::string& type) {
    using Batch = BatchOfArrays<T>;
    using Posterior = BatchPosteriorOfArrays<T>;
    nb::class_<Posterior>(module, ("BatchPosterior" + type).c_str())
        .def("predict", &Posterior::predict, "what"_a, "Xs"_a.noconvert(), "basis"_a.noconvert(),
             "offsets"_a, "threads"_a);
    nb::class_<Batch>(module, ("Batch" + type).c_str())
        .def(nb::init<const covariance::Program&, const VectorIn<std::uint8_t>&, MatrixIn<T>,
                      VectorIn<T>, MatrixIn<T>, const VectorIn<index_t>&>(),
             nb::keep_alive<1, 2>(), "program"_a, "is_free"_a, "X"_a.noconvert(), "y"_a.noconvert(),
             "basis"_a.noconvert(), "offsets"_a)
        .def("evaluate", &Batch::evaluate, "members"_a, "parameters"_a, "noise"_a, "gradient"_a,
             "threads"_a)
        .def("condition", &Batch::condition, nb::keep_alive<0, 1>(), "members"_a, "parameters"_a,
             "noise"_a, "threads"_a);
}

}  // namespace

void bind_batch(nb::module_& module) {
    bind_for<double>(module, "Float64");
    bind_for<float>(module, "Float32");
}

}  // namespace gprat::bindings
