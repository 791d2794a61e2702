// The front for C++ programs: kernels against the formulas that they stand for, a model against
// dense linear algebra, its gradient against differences, and what it refuses.
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "check.hpp"
#include "gprat/error.hpp"
#include "gprat/gaussian_process.hpp"

using namespace gprat;

namespace {

using Point = const double*;
using Formula = std::function<double(Point, Point)>;

constexpr index_t kFeatures = 2;

std::vector<double> draw(index_t count, std::mt19937_64& random) {
    std::normal_distribution<double> normal;
    std::vector<double> values(count);
    for (double& value : values) value = normal(random);
    return values;
}

double distance(Point x, Point z, double l0, double l1) {
    return std::hypot((x[0] - z[0]) / l0, (x[1] - z[1]) / l1);
}

/// Every factory, and every way to put kernels together.
struct Case {
    kernels::Expression kernel;
    Formula formula;
};

std::vector<Case> cases() {
    using namespace kernels;
    const double pi = std::numbers::pi, sqrt3 = std::sqrt(3.0), sqrt5 = std::sqrt(5.0);
    const Formula r = [](Point x, Point z) { return distance(x, z, 0.7, 0.7); };
    const Formula ard = [](Point x, Point z) { return distance(x, z, 0.5, 2.0); };
    const auto gauss = [](double s) { return std::exp(-0.5 * s * s); };
    return {
        {constant(2.5), [](Point, Point) { return 2.5; }},
        {rbf(0.7), [=](Point x, Point z) { return gauss(r(x, z)); }},
        {rbf({0.5, 2.0}), [=](Point x, Point z) { return gauss(ard(x, z)); }},
        {matern(0.7, 0.5), [=](Point x, Point z) { return std::exp(-r(x, z)); }},
        {matern({0.5, 2.0}, 1.5),
         [=](Point x, Point z) {
             return (1.0 + sqrt3 * ard(x, z)) * std::exp(-sqrt3 * ard(x, z));
         }},
        {matern(0.7, 2.5),
         [=](Point x, Point z) {
             const double s = sqrt5 * r(x, z);
             return (1.0 + s + s * s / 3.0) * std::exp(-s);
         }},
        // ν = 7/2 has a closed form too: R&W 2006, eq. 4.16.
        {matern(0.7, 3.5),
         [=](Point x, Point z) {
             const double s = std::sqrt(7.0) * r(x, z);
             return (1.0 + s + 0.4 * s * s + s * s * s / 15.0) * std::exp(-s);
         }},
        {matern(0.7, std::numeric_limits<double>::infinity()),
         [=](Point x, Point z) { return gauss(r(x, z)); }},
        {rational_quadratic(0.9, 0.7),
         [=](Point x, Point z) { return std::pow(1.0 + r(x, z) * r(x, z) / 1.8, -0.9); }},
        {exp_sine_squared(1.5, 3.0),
         [=](Point x, Point z) {
             const double s = std::sin(pi * distance(x, z, 1.0, 1.0) / 3.0) / 1.5;
             return std::exp(-2.0 * s * s);
         }},
        {periodic(1.2, {3.0, 4.5}),
         [=](Point x, Point z) {
             const double a = std::sin(pi * (x[0] - z[0]) / 3.0) / 1.2;
             const double b = std::sin(pi * (x[1] - z[1]) / 4.5) / 1.2;
             return std::exp(-2.0 * (a * a + b * b));
         }},
        {dot_product(0.6), [](Point x, Point z) { return 0.36 + x[0] * z[0] + x[1] * z[1]; }},
        {linear({0.5, 1.5}, 0.3),
         [](Point x, Point z) {
             return 0.5 * (x[0] - 0.3) * (z[0] - 0.3) + 1.5 * (x[1] - 0.3) * (z[1] - 0.3);
         }},
        {cosine(2.0),
         [=](Point x, Point z) { return std::cos(2.0 * pi * (x[0] - z[0] + x[1] - z[1]) / 2.0); }},
        {constant(2.0) * (rbf(0.7) + dot_product(0.6)).power(2.0),
         [=](Point x, Point z) {
             return 2.0 * std::pow(gauss(r(x, z)) + 0.36 + x[0] * z[0] + x[1] * z[1], 2.0);
         }},
        {rbf(0.7).on_features({1}) + constant(0.5),
         [=](Point x, Point z) { return gauss((x[1] - z[1]) / 0.7) + 0.5; }},
    };
}

void test_kernels(std::mt19937_64& random) {
    constexpr index_t n = 17, m = 11;
    const auto a = draw(n * kFeatures, random), b = draw(m * kFeatures, random);
    for (const auto& [kernel, formula] : cases()) {
        const covariance::Kernel<double> compiled(kernel.program(kFeatures), kernel.parameters(),
                                                  {});
        std::vector<double> k(n * m);
        compiled.evaluate({a.data(), n, kFeatures}, {b.data(), m, kFeatures},
                          covariance::Pairing::cross, covariance::Region::full, {k.data(), n, m});
        for (index_t j = 0; j < m; ++j)
            for (index_t i = 0; i < n; ++i) {
                const double expected = formula(&a[i * kFeatures], &b[j * kFeatures]);
                CHECK_CLOSE(k[i + j * n], expected, 1e-12 * (1.0 + std::abs(expected)));
            }
    }
}

/// L of a dense matrix, row by row.
std::vector<double> cholesky(std::vector<double> a, index_t n) {
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j <= i; ++j) {
            double sum = a[i * n + j];
            for (index_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
        }
    return a;
}

std::vector<double> solve_lower(const std::vector<double>& l, std::vector<double> b) {
    const auto n = std::ssize(b);
    for (index_t i = 0; i < n; ++i) {
        for (index_t k = 0; k < i; ++k) b[i] -= l[i * n + k] * b[k];
        b[i] /= l[i * n + i];
    }
    return b;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

/// R&W 2006, Alg. 2.1, without tiles.
void test_model(index_t tile_size, std::mt19937_64& random) {
    constexpr index_t n = 43, m = 5;
    constexpr double noise = 0.05;
    const auto x = draw(n * kFeatures, random), y = draw(n, random);
    const auto test = draw(m * kFeatures, random);
    const Formula k = [](Point a, Point b) {
        const double r = distance(a, b, 0.8, 1.7);
        return 1.3 * std::exp(-0.5 * r * r);
    };
    GaussianProcess<double> model({x.data(), n, kFeatures}, y,
                                  kernels::constant(1.3) * kernels::rbf({0.8, 1.7}), noise,
                                  {tile_size});
    std::vector<double> dense(n * n);
    for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j)
            dense[i * n + j] = k(&x[i * kFeatures], &x[j * kFeatures]) + (i == j ? noise : 0.0);
    const auto l = cholesky(dense, n);
    const auto z = solve_lower(l, y);
    double expected = -0.5 * dot(z, z) - 0.5 * n * std::log(2.0 * std::numbers::pi);
    for (index_t i = 0; i < n; ++i) expected -= std::log(l[i * n + i]);
    CHECK_CLOSE(model.log_marginal_likelihood(), expected, 1e-9);

    const Points<double> points{test.data(), m, kFeatures};
    const auto mean = model.predict_mean(points);
    const auto [mean_too, variance] = model.predict_variance(points);
    const auto [mean_again, covariance] = model.predict_covariance(points);
    for (index_t q = 0; q < m; ++q) {
        std::vector<double> cross(n);
        for (index_t i = 0; i < n; ++i) cross[i] = k(&x[i * kFeatures], &test[q * kFeatures]);
        const auto v = solve_lower(l, cross);
        CHECK_CLOSE(mean[q], dot(v, z), 1e-9);
        CHECK_CLOSE(mean_too[q], dot(v, z), 1e-9);
        CHECK_CLOSE(mean_again[q], dot(v, z), 1e-9);
        CHECK_CLOSE(variance[q], 1.3 - dot(v, v), 1e-9);
        CHECK_CLOSE(covariance[q * m + q], 1.3 - dot(v, v), 1e-9);
    }
}

/// Also hyperparameters that are no logarithms, that are fixed, and two outputs.
void test_gradient(std::mt19937_64& random) {
    constexpr index_t n = 60;
    const auto x = draw(n * kFeatures, random), y = draw(2 * n, random);
    GaussianProcess<double> model({x.data(), n, kFeatures}, y,
                                  kernels::constant(0.7) * kernels::matern({0.8, 1.7}, 2.5) +
                                      kernels::linear(0.4, {0.3, -0.4}) +
                                      kernels::white(0.1).fixed(),
                                  0.2, {16});
    const auto theta = model.theta();
    CHECK(theta.size() == 7);
    CHECK_CLOSE(theta[4], 0.3, 0.0);
    const auto [value, gradient] = model.differentiate();
    CHECK(gradient.size() == theta.size());
    CHECK_CLOSE(value, model.log_marginal_likelihood(), 1e-9 * std::abs(value));
    for (std::size_t i = 0; i < theta.size(); ++i) {
        constexpr double step = 1e-5;
        auto moved = theta;
        moved[i] += step;
        model.set_theta(moved);
        const double above = model.log_marginal_likelihood();
        moved[i] -= 2.0 * step;
        model.set_theta(moved);
        const double below = model.log_marginal_likelihood();
        CHECK_CLOSE(gradient[i], (above - below) / (2.0 * step),
                    1e-5 * (1.0 + std::abs(gradient[i])));
    }
}

bool is_refused(const std::function<void()>& call) {
    try {
        call();
    } catch (const InvalidArgument&) {
        return true;
    }
    return false;
}

void test_refusals(std::mt19937_64& random) {
    constexpr index_t n = 8;
    const auto x = draw(n * kFeatures, random), y = draw(n, random);
    const Points<double> points{x.data(), n, kFeatures};
    const auto make = [&](auto targets, auto kernel, double noise) {
        return GaussianProcess<double>(points, targets, kernel, noise);
    };
    auto broken = y;
    broken[3] = std::nan("");
    const std::span<const double> good(y);
    CHECK(is_refused([&] { make(good.first(7), kernels::rbf(1.0), 0.1); }));
    CHECK(is_refused([&] { make(std::span<const double>(broken), kernels::rbf(1.0), 0.1); }));
    CHECK(is_refused([&] { make(good, kernels::rbf(1.0), 0.0); }));
    CHECK(is_refused([&] { make(good, kernels::rbf(-1.0), 0.1); }));
    CHECK(is_refused([&] { make(good, kernels::rbf({1.0, 1.0, 1.0}), 0.1); }));
    CHECK(is_refused([&] { kernels::matern(1.0, -0.5); }));
    CHECK(is_refused([&] { kernels::rbf(1.0).on_features({0}).on_features({1}); }));

    auto model = make(good, kernels::rbf(1.0), 0.1);
    const double before = model.log_marginal_likelihood();
    CHECK(is_refused([&] { model.set_theta(std::vector{0.0}); }));
    CHECK(is_refused([&] { model.set_theta(std::vector{0.0, 0.0, 0.0}); }));
    CHECK(is_refused([&] { model.set_theta(std::vector{std::nan(""), 0.0}); }));
    CHECK(is_refused([&] { model.set_theta(std::vector{1e6, 0.0}); }));
    CHECK(is_refused([&] { model.set_theta(std::vector{0.0, -1e6}); }));
    CHECK(is_refused([&] { model.predict_mean({x.data(), n, 1}); }));
    CHECK_CLOSE(model.log_marginal_likelihood(), before, 0.0);
    CHECK_CLOSE(model.theta()[0], 0.0, 0.0);
}

}  // namespace

int main() {
    const auto seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937_64 random(seed);
    test_kernels(random);
    for (const index_t tile_size : {1, 16, 100}) test_model(tile_size, random);
    test_gradient(random);
    test_refusals(random);
    return gprat::check::report();
}
