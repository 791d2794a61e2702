#include "gprat/covariance/matern_table.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>

namespace gprat::covariance {

namespace {

using Real = long double;

constexpr Real kPi = std::numbers::pi_v<Real>;
/// Beyond, the library's function overflows where k is still 1.
constexpr Real kLargestOrder = 30.0L;
constexpr std::size_t kTablesKept = 32;

/// log K_ν(z) from ∫ exp(−z cosh t) cosh(νt) dt over t > 0 (DLMF 10.32.9), by the trapezoidal rule,
/// which converges geometrically here, with the largest term taken out.
Real log_bessel_by_integration(Real nu, Real z) {
    const Real peak = std::asinh(nu / z);
    const Real highest = nu * peak - z * std::cosh(peak);
    // The integrand is nearly Gaussian about its peak, of this width.
    const Real width = 1.0L / std::sqrt(std::hypot(nu, z));
    const Real step = width / 8.0L;
    Real sum = 0.0L;
    const auto last = static_cast<int>((peak + 14.0L * width) / step);
    const auto first = std::max(0, static_cast<int>((peak - 14.0L * width) / step));
    for (int i = first; i <= last; ++i) {
        const Real t = static_cast<Real>(i) * step;
        const Real term = std::exp(nu * t - z * std::cosh(t) - highest) *
                          (1.0L + std::exp(-2.0L * nu * t)) / 2.0L;
        sum += i == 0 ? term / 2.0L : term;
    }
    return highest + std::log(sum * step);
}

Real log_bessel(Real nu, Real z) {
    if (nu > kLargestOrder) return log_bessel_by_integration(nu, z);
    // K_ν(z) underflows at z of about 11 000; covariances have vanished long before.
    return std::log(std::cyl_bessel_k(nu, z));
}

/// The exponent of the smallest power of two above which k differs from 1 by more than rounding.
int smallest_exponent(double nu) {
    return std::max(-1000, static_cast<int>(std::floor(-56.0 / (2.0 * std::min(nu, 1.0)))));
}

}  // namespace

MaternTable::MaternTable(double nu) : first_exponent_(smallest_exponent(nu)) {
    const Real order = nu;
    const Real scale = std::sqrt(2.0L * order);
    const Real log_factor = (1.0L - order) * std::log(2.0L) - std::lgamma(order);
    const auto log_covariance = [=](Real r) {
        const Real z = scale * r;
        return log_factor + order * std::log(z) + log_bessel(order, z);
    };
    const auto log_slope = [=](Real r) {
        const Real z = scale * r;
        return std::log(2.0L * order) + log_factor + (order - 1.0L) * std::log(z) +
               log_bessel(std::abs(order - 1.0L), z);
    };
    last_exponent_ = 0;
    while (log_covariance(std::ldexp(1.0L, last_exponent_)) > -760.0L) ++last_exponent_;
    covariances_ = tabulate(log_covariance);
    slopes_ = tabulate(log_slope);
}

std::shared_ptr<const MaternTable> MaternTable::get(double nu) {
    static std::mutex mutex;
    static std::map<double, std::shared_ptr<const MaternTable>> tables;
    const std::lock_guard lock(mutex);
    auto& table = tables[nu];
    if (!table) {
        const auto made = std::make_shared<const MaternTable>(nu);
        if (tables.size() > kTablesKept) tables.clear();
        tables[nu] = made;
        return made;
    }
    return table;
}

/// Coefficients of powers of t in [−1, 1] on each half of [2^e, 2^(e+1)), by way of those of
/// Chebyshev polynomials.
template <class Logarithm>
std::vector<double> MaternTable::tabulate(const Logarithm& logarithm) const {
    std::vector<double> result;
    for (int half = 2 * first_exponent_; half < 2 * (last_exponent_ + 1); ++half) {
        const int exponent = half >= 0 ? half / 2 : -((1 - half) / 2);
        const Real begin = half - 2 * exponent == 0 ? 1.0L : 1.5L;
        Real samples[kTerms];
        for (int i = 0; i < kTerms; ++i) {
            const Real t = std::cos(kPi * (static_cast<Real>(i) + 0.5L) / kTerms);
            samples[i] = logarithm(std::ldexp(begin + 0.25L * (t + 1.0L), exponent));
        }
        Real powers[kTerms] = {};
        Real previous[kTerms] = {}, current[kTerms] = {};  // T_(k−1) and T_k by powers
        current[0] = 1.0L;
        for (int k = 0; k < kTerms; ++k) {
            Real coefficient = 0.0L;
            for (int i = 0; i < kTerms; ++i)
                coefficient += samples[i] * std::cos(kPi * static_cast<Real>(k) *
                                                     (static_cast<Real>(i) + 0.5L) / kTerms);
            coefficient *= (k == 0 ? 1.0L : 2.0L) / kTerms;
            for (int i = 0; i < kTerms; ++i) powers[i] += coefficient * current[i];
            Real next[kTerms] = {};
            for (int i = 0; i + 1 < kTerms; ++i) next[i + 1] = (k == 0 ? 1.0L : 2.0L) * current[i];
            for (int i = 0; i < kTerms; ++i) {
                next[i] -= k == 0 ? 0.0L : previous[i];
                previous[i] = current[i];
                current[i] = next[i];
            }
        }
        for (const Real power : powers) result.push_back(static_cast<double>(power));
    }
    return result;
}

double MaternTable::value(const std::vector<double>& coefficients, double r) const {
    int exponent = 0;
    double mantissa = 2.0 * std::frexp(r, &exponent);  // in [1, 2)
    --exponent;
    if (exponent > last_exponent_) return 0.0;
    if (exponent < first_exponent_) {
        exponent = first_exponent_;
        mantissa = 1.0;
    }
    const bool upper = mantissa >= 1.5;
    const double t = 4.0 * (mantissa - (upper ? 1.5 : 1.0)) - 1.0;
    const double* c =
        coefficients.data() + (2 * (exponent - first_exponent_) + (upper ? 1 : 0)) * kTerms;
    double logarithm = c[kTerms - 1];
    for (int i = kTerms - 2; i >= 0; --i) logarithm = logarithm * t + c[i];
    return std::exp(logarithm);
}

}  // namespace gprat::covariance
