// Kernel programs on blocks: against scalar loops and central differences, for every instruction
// set that this processor has, both precisions, and points and parameters at the ends of the range.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "check.hpp"
#include "gprat/covariance/dispatch.hpp"
#include "gprat/covariance/kernel.hpp"
#include "gprat/error.hpp"

using namespace gprat;
using namespace gprat::covariance;

namespace {

using Parameters = std::vector<double>;

/// Writes a program as one writes the kernel: operands first.
struct Builder {
    index_t features;
    std::vector<Instruction> instructions;
    Parameters parameters;

    /// Two hyperparameters share the values: the first is one number where the second may be many,
    /// and the other way round.
    Builder& leaf(Opcode opcode, const Parameters& values, double constant = 0.0,
                  std::vector<index_t> columns = {}, double reciprocal = 0.0) {
        const auto first = static_cast<index_t>(parameters.size());
        const auto count = static_cast<index_t>(values.size());
        parameters.insert(parameters.end(), values.begin(), values.end());
        return leaf_sharing(opcode, first, count, constant, std::move(columns), reciprocal);
    }
    Builder& leaf_sharing(Opcode opcode, index_t first, index_t count, double constant = 0.0,
                          std::vector<index_t> columns = {}, double reciprocal = 0.0) {
        index_t split = count;
        if (parameter_kinds(opcode).size() == 2) split = count / 2;
        if (opcode == Opcode::rational_quadratic) split = 1;
        if (opcode == Opcode::angular || opcode == Opcode::norm) split = count - 1;
        std::vector<ParameterRange> ranges{{first, split}};
        if (split < count) ranges.push_back({first + split, count - split});
        return combine({opcode, ranges, std::move(columns), constant, reciprocal});
    }
    Builder& sum() { return combine({Opcode::sum}); }
    Builder& product() { return combine({Opcode::product}); }
    Builder& power(double exponent) { return combine({Opcode::power, {}, {}, exponent}); }
    Builder& combine(const Instruction& instruction) {
        instructions.push_back(instruction);
        return *this;
    }
    Program program() const {
        return {instructions, static_cast<index_t>(parameters.size()), features};
    }
};

/// The hyperparameters of a leaf, and the features that it reads.
struct Leaf {
    const Instruction& instruction;
    const Parameters& parameters;
    index_t features;

    double value(std::size_t hyperparameter, index_t f = 0) const {
        const auto [first, count] = instruction.parameters[hyperparameter];
        const double p = parameters[first + (count == 1 ? 0 : f)];
        return instruction.reciprocal == 0.0 ? p : instruction.reciprocal / p;
    }
    index_t count() const {
        return instruction.features.empty() ? features
                                            : static_cast<index_t>(instruction.features.size());
    }
    index_t column(index_t f) const {
        return instruction.features.empty() ? f : instruction.features[f];
    }
    template <class Term>
    double sum(Term term) const {
        double total = 0.0;
        for (index_t f = 0; f < count(); ++f) total += term(f, column(f));
        return total;
    }
};

double matern(double nu, double r) {
    const double z = std::sqrt(2 * nu) * r;
    if (z == 0.0) return 1.0;
    return std::exp((1 - nu) * std::log(2.0) - std::lgamma(nu) + nu * std::log(z) +
                    std::log(std::cyl_bessel_k(nu, z)));
}

double arc_cosine(int order, double t) {
    const double pi = std::numbers::pi;
    if (order == 0) return (pi - t) / pi;
    if (order == 1) return (std::sin(t) + (pi - t) * std::cos(t)) / pi;
    return (3 * std::sin(t) * std::cos(t) + (pi - t) * (1 + 2 * std::pow(std::cos(t), 2))) / pi;
}

double leaf(const Leaf& l, const double* x, const double* z, bool same) {
    const double pi = std::numbers::pi, constant = l.instruction.constant;
    const auto squared = [&](std::size_t scale) {
        return l.sum(
            [&](index_t f, index_t c) { return std::pow((x[c] - z[c]) / l.value(scale, f), 2); });
    };
    const auto weighted = [&](const double* a, const double* b) {
        return l.value(1) +
               l.sum([&](index_t f, index_t c) { return l.value(0, f) * a[c] * b[c]; });
    };
    switch (l.instruction.opcode) {
        case Opcode::constant:
            return l.value(0);
        case Opcode::white:
            return same ? l.value(0) : 0.0;
        case Opcode::rbf:
            return std::exp(-0.5 * squared(0));
        case Opcode::matern12:
            return std::exp(-std::sqrt(squared(0)));
        case Opcode::matern32: {
            const double r = std::sqrt(3 * squared(0));
            return (1 + r) * std::exp(-r);
        }
        case Opcode::matern52: {
            const double r = std::sqrt(5 * squared(0));
            return (1 + r + r * r / 3) * std::exp(-r);
        }
        case Opcode::matern:
            return matern(constant, std::sqrt(squared(0)));
        case Opcode::rational_quadratic:
            return std::exp(-l.value(0) * std::log1p(squared(1) / (2 * l.value(0))));
        case Opcode::exp_sine_squared:
            return std::exp(-2 * std::pow(std::sin(pi * std::sqrt(squared(1))) / l.value(0), 2));
        case Opcode::dot_product:
            return std::pow(l.value(0), 2) + l.sum([&](index_t, index_t c) { return x[c] * z[c]; });
        case Opcode::periodic:
            return std::exp(-2 * l.sum([&](index_t f, index_t c) {
                return std::pow(std::sin(pi * (x[c] - z[c]) / l.value(1, f)) / l.value(0, f), 2);
            }));
        case Opcode::linear:
            return l.sum([&](index_t f, index_t c) {
                return l.value(0, f) * (x[c] - l.value(1, f)) * (z[c] - l.value(1, f));
            });
        case Opcode::cosine:
            return std::cos(2 * pi * l.sum([&](index_t f, index_t c) {
                return (x[c] - z[c]) / l.value(0, f);
            }));
        case Opcode::sigmoid: {
            const auto s = [&](double value) {
                return 1 / (1 + std::exp(-constant * (value - l.value(0)) / l.value(1)));
            };
            return s(x[l.column(0)]) * s(z[l.column(0)]);
        }
        case Opcode::angular: {
            // Of the unit vectors' difference and sum: an arc cosine would be good to √ε only.
            const double nx = std::sqrt(weighted(x, x)), nz = std::sqrt(weighted(z, z));
            const auto length = [&](double sign) {
                return std::sqrt(
                    l.value(1) * std::pow(1 / nx + sign / nz, 2) + l.sum([&](index_t f, index_t c) {
                        return l.value(0, f) * std::pow(x[c] / nx + sign * z[c] / nz, 2);
                    }));
            };
            return arc_cosine(static_cast<int>(constant), 2 * std::atan2(length(-1), length(1)));
        }
        default:  // norm
            return std::pow(weighted(x, x) * weighted(z, z), 0.5 * constant);
    }
}

double covariance_of(const Builder& kernel, const Parameters& parameters, const double* x,
                     const double* z, bool same) {
    std::vector<double> stack;
    const auto pop = [&] {
        const double top = stack.back();
        stack.pop_back();
        return top;
    };
    for (const auto& instruction : kernel.instructions) {
        double value;
        switch (instruction.opcode) {
            case Opcode::sum:
                value = pop() + pop();
                break;
            case Opcode::product:
                value = pop() * pop();
                break;
            case Opcode::power:
                value = std::pow(pop(), instruction.constant);
                break;
            default:
                value = leaf({instruction, parameters, kernel.features}, x, z, same);
        }
        stack.push_back(value);
    }
    return stack.back();
}

/// Points whose coordinates are numbers of type T, also as doubles for the oracle.
template <class T>
struct PointSet {
    index_t count, features;
    std::vector<T> values;
    std::vector<double> exact;

    PointSet(index_t count_, index_t features_, unsigned seed)
        : count(count_), features(features_), values(count_ * features_) {
        std::mt19937 random(seed);
        std::normal_distribution<double> normal;
        for (auto& value : values) value = static_cast<T>(normal(random));
        exact.assign(values.begin(), values.end());
    }
    PointSet(index_t features_, std::vector<T> values_)
        : count(static_cast<index_t>(values_.size()) / features_),
          features(features_),
          values(std::move(values_)),
          exact(values.begin(), values.end()) {}

    Points<T> points(index_t first = 0) const { return {values.data(), count, features, first}; }
    const double* point(index_t i) const { return exact.data() + i * features; }
};

std::vector<Builder> kernels(index_t d) {
    const auto start = [d] { return Builder{d, {}, {}}; };
    Parameters each;
    for (index_t f = 0; f < d; ++f) each.push_back((0.8 + 0.1 * double(f % 7)) * std::sqrt(d));
    const Parameters one{1.3 * std::sqrt(d)};
    std::vector<Builder> all;
    for (const auto opcode : {Opcode::rbf, Opcode::matern12, Opcode::matern32, Opcode::matern52}) {
        all.push_back(start().leaf(opcode, one));
        all.push_back(start().leaf(Opcode::constant, {2.5}).leaf(opcode, each).product());
    }
    all.push_back(start().leaf(Opcode::rational_quadratic, {0.7, one[0]}));
    all.push_back(start().leaf(Opcode::rational_quadratic, {1e5, one[0]}));
    all.push_back(start().leaf(Opcode::exp_sine_squared, {1.3, 2.2}));
    for (const double nu : {0.3, 1.0, 1.7, 3.5, 12.0}) {
        all.push_back(start().leaf(Opcode::matern, one, nu));
        all.push_back(start().leaf(Opcode::matern, each, nu));
    }
    const auto both = [](const Parameters& a, const Parameters& b) {
        auto joined = a;
        joined.insert(joined.end(), b.begin(), b.end());
        return joined;
    };
    const index_t last = d - 1;
    all.push_back(start().leaf(Opcode::rational_quadratic, both({0.7}, each)));
    all.push_back(start().leaf(Opcode::periodic, both(each, each)));
    all.push_back(start().leaf(Opcode::periodic, both(one, {3.1})));
    all.push_back(start().leaf(Opcode::linear, both(each, Parameters(d, -0.4))));
    all.push_back(start().leaf(Opcode::cosine, each).leaf(Opcode::rbf, one).product());
    all.push_back(start().leaf(Opcode::cosine, {2.7}, 0.0, {last}));
    for (const double order : {0.0, 1.0, 2.0})
        all.push_back(start()
                          .leaf(Opcode::angular, both(each, {0.8}), order)
                          .leaf_sharing(Opcode::norm, 0, d + 1, order)
                          .product());
    // A change point, and a spectral mixture's component.
    all.push_back(start()
                      .leaf(Opcode::sigmoid, {-0.2, 0.6}, 1.0, {last})
                      .leaf(Opcode::rbf, each)
                      .product()
                      .leaf_sharing(Opcode::sigmoid, 0, 2, -1.0, {last})
                      .leaf(Opcode::matern52, {1.4}, 0.0, {0})
                      .product()
                      .sum());
    all.push_back(start()
                      .leaf(Opcode::rbf, each, 0.0, {}, 1.0 / 6.28)
                      .leaf(Opcode::cosine, each, 0.0, {}, 1.0)
                      .product());
    for (const double exponent : {1.0, 2.0, 3.0, 4.0})
        all.push_back(start().leaf(Opcode::dot_product, {0.8}).power(exponent));
    all.push_back(start().leaf(Opcode::white, {0.3}).leaf(Opcode::rbf, one).sum().power(0.5));
    all.push_back(start().leaf(Opcode::white, {0.3}).leaf(Opcode::rbf, one).product());
    all.push_back(start().leaf(Opcode::constant, {3.0}).leaf(Opcode::white, {0.2}).sum());
    // ((c·RBF + dot)·(Matern·white + c))² · periodic + RQ
    all.push_back(start()
                      .leaf(Opcode::constant, {1.5})
                      .leaf(Opcode::rbf, each)
                      .product()
                      .leaf(Opcode::dot_product, {0.5})
                      .sum()
                      .leaf(Opcode::matern12, one)
                      .leaf(Opcode::white, {0.4})
                      .product()
                      .leaf(Opcode::constant, {0.1})
                      .sum()
                      .product()
                      .power(2.0)
                      .leaf(Opcode::exp_sine_squared, {1.1, 1.7})
                      .product()
                      .leaf(Opcode::rational_quadratic, {2.0, one[0]})
                      .sum());
    return all;
}

constexpr auto kAllFree = [](const Builder& kernel) {
    return std::vector<std::uint8_t>(kernel.parameters.size(), 1);
};

template <class T>
std::vector<T> evaluate(const Kernel<T>& kernel, const Points<T>& rows, const Points<T>& columns,
                        Pairing pairing, Region region = Region::full) {
    std::vector<T> k(rows.count * columns.count, T(-7));
    kernel.evaluate(rows, columns, pairing, region,
                    MatrixView<T>(k.data(), rows.count, columns.count));
    return k;
}

/// Every entry, with the diagonal of the same set anywhere in the block.
template <class T>
void check_values(const Builder& kernel, const PointSet<T>& x, const PointSet<T>& z,
                  index_t offset) {
    const Kernel<T> compiled(kernel.program(), kernel.parameters, {});
    const double epsilon = std::numeric_limits<T>::epsilon();
    for (const auto pairing : {Pairing::same_set, Pairing::cross}) {
        const auto k = evaluate(compiled, x.points(offset), z.points(), pairing);
        for (index_t j = 0; j < z.count; ++j)
            for (index_t i = 0; i < x.count; ++i) {
                const bool same = pairing == Pairing::same_set && i + offset == j;
                const double expected =
                    covariance_of(kernel, kernel.parameters, x.point(i), z.point(j), same);
                CHECK_CLOSE(k[i + j * x.count], expected,
                            200 * epsilon * std::max(1.0, std::abs(expected)));
            }
    }
    std::vector<T> diagonal(x.count);
    compiled.diagonal(x.points(), diagonal.data());
    for (index_t i = 0; i < x.count; ++i) {
        const double expected =
            covariance_of(kernel, kernel.parameters, x.point(i), x.point(i), true);
        CHECK_CLOSE(diagonal[i], expected, 8 * epsilon * std::abs(expected));
    }
}

/// A hyperparameter after a step on the scale of its derivatives.
double moved(const Builder& kernel, std::size_t p, double step) {
    for (const auto& instruction : kernel.instructions)
        for (std::size_t i = 0; i < instruction.parameters.size(); ++i) {
            const auto [first, count] = instruction.parameters[i];
            const auto index = static_cast<index_t>(p);
            if (first <= index && index < first + count &&
                parameter_kinds(instruction.opcode)[i].may_be_negative)
                return kernel.parameters[p] + step;
        }
    return kernel.parameters[p] * std::exp(step);
}

/// By the coordinates of rows and of columns.
template <class T>
void check_point_gradient(const Builder& kernel, PointSet<T> x, PointSet<T> z) {
    std::mt19937 random(11);
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    std::vector<T> weights(x.count * z.count);
    for (auto& weight : weights) weight = static_cast<T>(uniform(random));
    const auto contract = [&](bool absolute) {
        double sum = 0.0;
        for (index_t j = 0; j < z.count; ++j)
            for (index_t i = 0; i < x.count; ++i) {
                const double term =
                    static_cast<double>(weights[i + j * x.count]) *
                    covariance_of(kernel, kernel.parameters, x.point(i), z.point(j), false);
                sum += absolute ? std::abs(term) : term;
            }
        return sum;
    };
    const Kernel<T> compiled(kernel.program(), kernel.parameters, {});
    std::vector<double> by_rows(x.exact.size(), 0.0), by_columns(z.exact.size(), 0.0);
    compiled.accumulate_gradient(x.points(), z.points(), Pairing::cross, Region::full,
                                 MatrixView<const T>(weights.data(), x.count, z.count),
                                 {{}, by_rows.data(), by_columns.data()});
    const double tolerance = (sizeof(T) == 8 ? 1e-7 : 3e-4) * (1.0 + contract(true));
    const auto check = [&](std::vector<double>& coordinates, const std::vector<double>& gradient) {
        const double step = 2e-4;
        for (std::size_t c = 0; c < coordinates.size(); c += 3) {
            const double at = coordinates[c];
            const auto central_difference = [&](double h) {
                coordinates[c] = at + h;
                const double above = contract(false);
                coordinates[c] = at - h;
                const double below = contract(false);
                coordinates[c] = at;
                return (above - below) / (2 * h);
            };
            const double derivative =
                (4 * central_difference(step) - central_difference(2 * step)) / 3;
            CHECK_CLOSE(gradient[c], derivative, tolerance);
        }
    };
    check(x.exact, by_rows);
    check(z.exact, by_columns);
}

template <class T>
void check_gradient(const Builder& kernel, const PointSet<T>& x, Region region) {
    const index_t n = x.count;
    std::mt19937 random(7);
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    std::vector<T> weights(n * n);
    for (index_t j = 0; j < n; ++j)
        for (index_t i = region == Region::lower ? j : 0; i < n; ++i)
            weights[i + j * n] = static_cast<T>(uniform(random));
    const auto contract = [&](const Parameters& parameters, bool absolute) {
        double sum = 0.0;
        for (index_t j = 0; j < n; ++j)
            for (index_t i = 0; i < n; ++i) {
                const double term =
                    weights[i + j * n] *
                    covariance_of(kernel, parameters, x.point(i), x.point(j), i == j);
                sum += absolute ? std::abs(term) : term;
            }
        return sum;
    };
    const Kernel<T> compiled(kernel.program(), kernel.parameters, kAllFree(kernel));
    std::vector<double> gradient(kernel.parameters.size(), 0.0);
    compiled.accumulate_gradient(x.points(), x.points(), Pairing::same_set, region,
                                 MatrixView<const T>(weights.data(), n, n),
                                 {.parameters = gradient});
    const double tolerance = (sizeof(T) == 8 ? 3e-9 : 1e-5) * contract(kernel.parameters, true);
    const double step = 2e-4;
    for (std::size_t p = 0; p < gradient.size(); ++p) {
        const auto central_difference = [&](double h) {
            auto above = kernel.parameters, below = kernel.parameters;
            above[p] = moved(kernel, p, h);
            below[p] = moved(kernel, p, -h);
            return (contract(above, false) - contract(below, false)) / (2 * h);
        };
        const double derivative = (4 * central_difference(step) - central_difference(2 * step)) / 3;
        CHECK_CLOSE(gradient[p], derivative, tolerance);
    }
}

template <class T>
void test_against_scalar_loops() {
    for (const index_t d : {1, 3, 9})
        for (const auto& kernel : kernels(d)) {
            check_values(kernel, PointSet<T>(1, d, 1), PointSet<T>(1, d, 1), 0);
            check_values(kernel, PointSet<T>(37, d, 1), PointSet<T>(11, d, 2), 5);
            check_values(kernel, PointSet<T>(150, d, 3), PointSet<T>(21, d, 4), -7);
        }
}

template <class T>
void test_point_gradients() {
    for (const index_t d : {1, 3})
        for (const auto& kernel : kernels(d))
            check_point_gradient(kernel, PointSet<T>(17, d, 1), PointSet<T>(9, d, 2));
}

template <class T>
void test_gradients() {
    for (const index_t d : {1, 3, 9})
        for (const auto& kernel : kernels(d)) {
            check_gradient(kernel, PointSet<T>(1, d, 1), Region::full);
            check_gradient(kernel, PointSet<T>(19, d, 1), Region::full);
            check_gradient(kernel, PointSet<T>(19, d, 2), Region::lower);
        }
}

void test_lower_region_is_the_lower_part_of_the_whole() {
    const PointSet<double> x(300, 4, 5);
    const auto kernel = kernels(4).back();
    const Kernel<double> compiled(kernel.program(), kernel.parameters, {});
    const auto whole = evaluate(compiled, x.points(), x.points(), Pairing::same_set);
    const auto lower = evaluate(compiled, x.points(), x.points(), Pairing::same_set, Region::lower);
    bool equal = true;
    for (index_t j = 0; j < x.count; ++j)
        for (index_t i = j; i < x.count; ++i)
            equal = equal && whole[i + j * x.count] == lower[i + j * x.count];
    CHECK(equal);
    CHECK(lower[0 + 299 * 300] == -7.0);
}

/// Views may be parts of larger matrices; what surrounds them stays.
void test_leading_dimension() {
    const PointSet<double> x(13, 2, 1);
    const auto kernel = kernels(2)[0];
    const Kernel<double> compiled(kernel.program(), kernel.parameters, {});
    const auto expected = evaluate(compiled, x.points(), x.points(), Pairing::same_set);
    std::vector<double> padded(20 * 13, -7.0);
    compiled.evaluate(x.points(), x.points(), Pairing::same_set, Region::full,
                      MatrixView<double>(padded.data() + 3, 13, 13, 20));
    bool equal = true;
    for (index_t j = 0; j < 13; ++j)
        for (index_t i = 0; i < 20; ++i)
            equal =
                equal && padded[i + j * 20] == (i >= 3 && i < 16 ? expected[i - 3 + j * 13] : -7.0);
    CHECK(equal);
}

void test_fixed_parameters_get_no_gradient() {
    const PointSet<double> x(30, 3, 1);
    const auto kernel = kernels(3).back();
    const std::vector<double> weights(30 * 30, 1.0);
    const MatrixView<const double> view(weights.data(), 30, 30);
    const auto gradient_of = [&](const std::vector<std::uint8_t>& is_free) {
        const Kernel<double> compiled(kernel.program(), kernel.parameters, is_free);
        std::vector<double> gradient(is_free.size(), 0.0);
        compiled.accumulate_gradient(x.points(), x.points(), Pairing::same_set, Region::full, view,
                                     {gradient});
        return gradient;
    };
    const auto all = gradient_of(kAllFree(kernel));
    for (std::size_t p = 0; p < all.size(); ++p) {
        std::vector<std::uint8_t> is_free(all.size(), 0);
        is_free[p] = 1;
        const auto some = gradient_of(is_free);
        for (std::size_t q = 0; q < all.size(); ++q)
            CHECK_CLOSE(some[q], q == p ? all[q] : 0.0, 1e-13 * std::abs(all[q]));
    }
}

/// Far from the origin the difference of neighbours is known exactly, so their covariance is too.
template <class T>
void test_near_duplicates_far_from_the_origin() {
    const T origin = sizeof(T) == 8 ? T(1e12) : T(1e5f);
    const T step = sizeof(T) == 8 ? T(0.0001220703125) : T(0.0078125f);
    const PointSet<T> x(2, {origin, origin, origin + step, origin, origin, origin - 3 * step});
    for (const auto& lengths : {Parameters{0.3}, Parameters{0.3, 0.7}})
        check_values(Builder{2, {}, {}}.leaf(Opcode::matern12, lengths), x, x, 0);
}

/// Nothing may turn into NaN, however far points are apart and however long the length scales.
template <class T>
void test_ends_of_the_range() {
    const T huge = std::numeric_limits<T>::max(), tiny = std::numeric_limits<T>::min();
    const T large = std::sqrt(huge);
    const PointSet<T> x(2, {T(0), T(0), T(0), tiny, huge, -huge, large, T(1), -huge, huge, T(0),
                            large, -large, T(3)});
    const std::vector<T> weights(x.count * x.count, T(1));
    for (const double length : {1e-300, 1e-30, 1e-10, 1.0, 1e10, 1e30, 1e300})
        for (auto kernel : kernels(2)) {
            if (std::ranges::any_of(kernel.instructions, [](const Instruction& instruction) {
                    return instruction.opcode == Opcode::dot_product ||
                           instruction.opcode == Opcode::linear ||
                           instruction.opcode == Opcode::norm;  // unbounded
                }))
                continue;
            for (auto& parameter : kernel.parameters) parameter *= length;
            for (const auto& instruction : kernel.instructions)
                if (instruction.opcode == Opcode::constant || instruction.opcode == Opcode::white)
                    kernel.parameters[instruction.parameters[0].first] = 1.0;
            const Kernel<T> compiled(kernel.program(), kernel.parameters, kAllFree(kernel));
            const auto k = evaluate(compiled, x.points(), x.points(), Pairing::same_set);
            CHECK(std::ranges::all_of(k, [](T value) { return std::abs(value) <= 2; }));
            std::vector<double> gradient(kernel.parameters.size(), 0.0);
            compiled.accumulate_gradient(x.points(), x.points(), Pairing::same_set, Region::full,
                                         MatrixView<const T>(weights.data(), x.count, x.count),
                                         {gradient});
            // Those of tiny periods, or of polynomial tails per feature, are beyond any range.
            const bool is_bounded =
                length >= 1.0 ||
                std::ranges::none_of(kernel.instructions, [](const Instruction& instruction) {
                    return instruction.opcode == Opcode::periodic ||
                           instruction.opcode == Opcode::rational_quadratic;
                });
            CHECK(!is_bounded ||
                  std::ranges::all_of(gradient, [](double g) { return std::isfinite(g); }));
        }
}

void test_results_repeat_bit_by_bit() {
    const PointSet<double> x(200, 5, 1);
    const auto kernel = kernels(5).back();
    const Kernel<double> compiled(kernel.program(), kernel.parameters, kAllFree(kernel));
    const auto k = evaluate(compiled, x.points(), x.points(), Pairing::same_set);
    std::vector<double> first(kernel.parameters.size()), second = first;
    for (auto* gradient : {&first, &second}) {
        const auto again = evaluate(compiled, x.points(), x.points(), Pairing::same_set);
        CHECK(std::memcmp(k.data(), again.data(), k.size() * sizeof(double)) == 0);
        compiled.accumulate_gradient(x.points(), x.points(), Pairing::same_set, Region::full,
                                     MatrixView<const double>(k.data(), 200, 200), {*gradient});
    }
    CHECK(first == second);
}

template <class Function>
bool is_refused(Function function) {
    try {
        function();
    } catch (const InvalidArgument&) {
        return true;
    }
    return false;
}

void test_invalid_programs_are_refused() {
    const auto refused = [](std::vector<Instruction> instructions, index_t parameters,
                            index_t features) {
        return is_refused([&] { Program(std::move(instructions), parameters, features); });
    };
    const Instruction rbf{Opcode::rbf, {{0, 1}}};
    CHECK(!refused({rbf}, 1, 3));
    CHECK(refused({}, 0, 1));
    CHECK(refused({rbf}, 1, 0));
    CHECK(refused({rbf, rbf}, 1, 1));
    CHECK(refused({rbf, {Opcode::sum}}, 1, 1));
    CHECK(refused({{Opcode::power, {}, {}, 2.0}}, 0, 1));
    CHECK(refused({rbf, {Opcode::power, {}, {}, std::nan("")}}, 1, 1));
    CHECK(refused({{Opcode::rbf, {{0, 2}}}}, 2, 3));
    CHECK(refused({{Opcode::rbf, {{0, 3}}}}, 2, 3));
    CHECK(refused({{Opcode::rbf, {{-1, 1}}}}, 1, 1));
    CHECK(refused({{Opcode::rbf, {{std::numeric_limits<index_t>::max(), 1}}}}, 1, 1));
    CHECK(refused({{Opcode::rational_quadratic, {{0, 1}}}}, 2, 1));
    CHECK(refused({{static_cast<Opcode>(19), {{0, 1}}}}, 1, 1));
    CHECK(refused({{Opcode::matern, {{0, 1}}, {}, 0.0}}, 1, 1));
    CHECK(refused({{Opcode::sigmoid, {{0, 1}, {1, 1}}, {}, 1.0}}, 2, 2));
    CHECK(refused({{Opcode::sigmoid, {{0, 1}, {1, 1}}, {0}, 0.5}}, 2, 2));
    CHECK(refused({{Opcode::angular, {{0, 1}, {1, 1}}, {}, 3.0}}, 2, 2));
    CHECK(refused({{Opcode::rbf, {{0, 1}}, {2}}}, 1, 2));
    CHECK(refused({{Opcode::rbf, {{0, 1}}, {1, 1}}}, 1, 2));
    CHECK(refused({{Opcode::rbf, {{0, 2}}, {1}}}, 2, 2));
    CHECK(refused({{Opcode::rbf, {{0, 1}}, {}, 0.0, -1.0}}, 1, 2));

    const Program program({rbf}, 1, 3);
    const auto kernel_refused = [&](const Parameters& parameters,
                                    const std::vector<std::uint8_t>& is_free) {
        return is_refused([&] { Kernel<double>(program, parameters, is_free); });
    };
    CHECK(!kernel_refused({1.0}, {1}));
    CHECK(kernel_refused({1.0, 2.0}, {}));
    CHECK(kernel_refused({1.0}, {1, 1}));
    for (const double value : {0.0, -1.0, std::nan(""), HUGE_VAL})
        CHECK(kernel_refused({value}, {}));
    const PointSet<double> x(5, 2, 1);
    const Kernel<double> kernel(program, Parameters{1.0}, {});
    CHECK(is_refused([&] { evaluate(kernel, x.points(), x.points(), Pairing::cross); }));
}

}  // namespace

int main() {
    for (const auto best :
         {InstructionSet::avx512, InstructionSet::avx2, InstructionSet::baseline}) {
        limit_instruction_set(best);
        if (instruction_set() != best) continue;
        test_against_scalar_loops<double>();
        test_against_scalar_loops<float>();
        test_gradients<double>();
        test_gradients<float>();
        test_point_gradients<double>();
        test_point_gradients<float>();
        test_near_duplicates_far_from_the_origin<double>();
        test_near_duplicates_far_from_the_origin<float>();
        test_ends_of_the_range<double>();
        test_ends_of_the_range<float>();
        test_lower_region_is_the_lower_part_of_the_whole();
        test_leading_dimension();
        test_fixed_parameters_get_no_gradient();
        test_results_repeat_bit_by_bit();
    }
    test_invalid_programs_are_refused();
    return check::report();
}
