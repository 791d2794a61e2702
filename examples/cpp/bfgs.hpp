#pragma once

#include <cmath>
#include <cstddef>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

/// A small optimiser for examples: BFGS with a backtracking line search (Nocedal & Wright 2006,
/// algorithms 6.1 and 3.1). Real programs bring one with bounds and a stronger line search, such as
/// NLopt's.
namespace bfgs {

using Vector = std::vector<double>;

inline double dot(const Vector& a, const Vector& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// a + factor·b
inline Vector add(Vector a, double factor, const Vector& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += factor * b[i];
    return a;
}

/// The inverse Hessian H as BFGS estimates it, row by row.
class InverseHessian {
public:
    explicit InverseHessian(std::size_t size) : rows_(size, Vector(size)) { reset(); }

    void reset() {
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            rows_[i].assign(rows_.size(), 0.0);
            rows_[i][i] = 1.0;
        }
    }

    Vector times(const Vector& x) const {
        Vector product;
        for (const auto& row : rows_) product.push_back(dot(row, x));
        return product;
    }

    /// (6.17): after a step s, over which the gradient changed by y. Steps along which the function
    /// curves downwards say nothing about a minimum.
    void update(const Vector& s, const Vector& y) {
        const double curvature = dot(s, y);
        if (curvature <= 1e-10 * std::sqrt(dot(s, s) * dot(y, y))) return;
        const Vector hy = times(y);
        const double scale = (1.0 + dot(y, hy) / curvature) / curvature;
        for (std::size_t i = 0; i < s.size(); ++i)
            for (std::size_t j = 0; j < s.size(); ++j)
                rows_[i][j] += scale * s[i] * s[j] - (hy[i] * s[j] + s[i] * hy[j]) / curvature;
    }

private:
    std::vector<Vector> rows_;
};

/// Returns where `function(x)`, a pair of value and gradient, is least near `x`: no entry of the
/// gradient is above the tolerance there, or rounding hides any descent. The value may be infinite
/// where the function is not defined, but not at the start.
template <class Function>
Vector minimise(Function&& function, Vector x, double tolerance = 1e-6, int most_steps = 200) {
    constexpr double kSufficient = 1e-4, kLongest = 1.0, kShortest = 1e-12;
    auto [value, gradient] = function(x);
    InverseHessian inverse(x.size());
    for (int step = 0; step < most_steps; ++step) {
        double largest = 0.0;
        for (const double entry : gradient) largest = std::fmax(largest, std::abs(entry));
        if (largest <= tolerance) break;

        Vector direction = inverse.times(gradient);
        double descent = -dot(direction, gradient);
        if (descent >= 0.0) {
            inverse.reset();
            direction = gradient;
            descent = -dot(gradient, gradient);
        }
        // Logarithms of hyperparameters: no step is longer than a factor of e or so.
        double length = std::fmin(1.0, kLongest / std::sqrt(dot(direction, direction)));
        Vector next = add(x, -length, direction);
        auto [next_value, next_gradient] = function(next);
        while (!(next_value <= value + kSufficient * length * descent) && length > kShortest) {
            length *= 0.5;
            next = add(x, -length, direction);
            std::tie(next_value, next_gradient) = function(next);
        }
        if (length <= kShortest) break;
        inverse.update(add(next, -1.0, x), add(next_gradient, -1.0, gradient));
        x = std::move(next);
        value = next_value;
        gradient = std::move(next_gradient);
    }
    return x;
}

}  // namespace bfgs
