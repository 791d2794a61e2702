#pragma once

#include <cstdint>
#include <span>

#include "gprat/covariance/covariance.hpp"
#include "gprat/covariance/plan.hpp"
#include "gprat/covariance/program.hpp"
#include "gprat/types.hpp"

namespace gprat::covariance {

/// A program with values for its parameters. Results depend on the instruction set too.
template <class T>
class Kernel final : public Covariance<T> {
public:
    /// Empty `is_free` means that no parameter is. Throws InvalidArgument where lengths or values
    /// do not fit the program.
    Kernel(const Program& program, std::span<const double> parameters,
           std::span<const std::uint8_t> is_free)
        : plan_(program, parameters, is_free), parameter_count_(program.parameter_count()) {}

    index_t parameter_count() const override { return parameter_count_; }
    void evaluate(Points<T> rows, Points<T> columns, Pairing pairing, Region region,
                  MatrixView<T> k) const override;
    void diagonal(Points<T> points, T* out) const override;
    void accumulate_gradient(Points<T> rows, Points<T> columns, Pairing pairing, Region region,
                             MatrixView<const T> weights,
                             const GradientSink<T>& sink) const override;

private:
    void check(const Points<T>& points) const;

    Plan<T> plan_;
    index_t parameter_count_;
};

}  // namespace gprat::covariance
