#include "operations.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "gprat/gp/adjoint.hpp"
#include "gprat/gp/update.hpp"

namespace gprat::stress {

namespace {

using covariance::Instruction;
using covariance::Opcode;
using gp::Posterior;
using tasks::RunOptions;

/// constant · leaf + white, the leaf being one of several.
std::pair<covariance::Program, std::vector<double>> random_kernel(Random& random,
                                                                  index_t dimension) {
    constexpr Opcode kLeaves[] = {Opcode::rbf,      Opcode::matern12,           Opcode::matern32,
                                  Opcode::matern52, Opcode::rational_quadratic, Opcode::periodic,
                                  Opcode::matern};
    const Opcode leaf = kLeaves[between(random, 0, std::ssize(kLeaves) - 1)];
    std::uniform_real_distribution<double> positive(0.5, 2.0);
    std::vector<double> parameters;
    const auto next = [&](index_t count) {
        const covariance::ParameterRange range{std::ssize(parameters), count};
        for (index_t i = 0; i < count; ++i) parameters.push_back(positive(random));
        return range;
    };
    std::vector<Instruction> program{{Opcode::constant, {next(1)}}};
    Instruction instruction{leaf};
    for (const auto& kind : covariance::parameter_kinds(leaf))
        instruction.parameters.push_back(next(kind.may_be_one_a_feature ? dimension : 1));
    if (leaf == Opcode::matern) instruction.constant = 2.2;
    program.push_back(instruction);
    program.push_back({Opcode::product});
    program.push_back({Opcode::white, {next(1)}});
    program.push_back({Opcode::sum});
    const auto count = std::ssize(parameters);
    return {covariance::Program(std::move(program), count, dimension), parameters};
}

template <class T>
std::vector<T> normal(Random& random, index_t count) {
    std::normal_distribution<double> distribution;
    std::vector<T> values(count);
    for (auto& value : values) value = static_cast<T>(distribution(random));
    return values;
}

template <class U>
void append(Values& values, const U* from, index_t count) {
    values.insert(values.end(), from, from + count);
}

template <class T>
Values differentiate(const Model<T>& model, gp::Objective objective, gp::Inputs inputs,
                     const RunOptions& options) {
    const auto adjoint = gp::differentiate(model.problem(), objective, inputs, options);
    Values values{adjoint.value};
    append(values, adjoint.parameters.data(), std::ssize(adjoint.parameters));
    for (const auto* part : {&adjoint.noise, &adjoint.targets, &adjoint.inputs, &adjoint.basis})
        append(values, part->data(), part->size());
    return values;
}

template <class T>
Values factor_values(const TiledMatrix<T>& factor) {
    Values values;
    const auto& layout = factor.layout();
    for (index_t i = 0; i < layout.tiles(); ++i)
        for (index_t j = 0; j <= i; ++j) {
            const auto tile = factor.tile(i, j);
            for (index_t c = 0; c < tile.cols; ++c)
                append(values, tile.column(c) + (i == j ? c : 0), tile.rows - (i == j ? c : 0));
        }
    return values;
}

template <class T>
Values predict_mean(const Model<T>& model, Posterior<T>& posterior, const RunOptions& options) {
    std::vector<T> mean(model.test_count * model.outputs);
    posterior.predict_mean(model.test(), mean.data(), options);
    return {mean.begin(), mean.end()};
}

template <class T>
Values predict_variance(const Model<T>& model, Posterior<T>& posterior, const RunOptions& options) {
    std::vector<T> mean(model.test_count * model.outputs), variance(model.test_count);
    posterior.predict_variance(model.test(), mean.data(), variance.data(), options);
    Values values(mean.begin(), mean.end());
    append(values, variance.data(), std::ssize(variance));
    return values;
}

template <class T>
Values predict_covariance(const Model<T>& model, Posterior<T>& posterior,
                          const RunOptions& options) {
    std::vector<T> mean(model.test_count * model.outputs);
    std::vector<T> covariance(model.test_count * model.test_count);
    posterior.predict_covariance(model.test(), mean.data(), covariance.data(), options);
    Values values(mean.begin(), mean.end());
    append(values, covariance.data(), std::ssize(covariance));
    return values;
}

template <class T>
Values predict_gradient(const Model<T>& model, Posterior<T>& posterior, const RunOptions& options) {
    const auto gradient = posterior.predict_gradient(model.test(), options);
    Values values;
    for (const auto* part : {&gradient.mean, &gradient.variance, &gradient.basis})
        append(values, part->data(), part->size());
    return values;
}

constexpr auto kEverything = gp::kOverTraining | gp::Derivatives::test_inputs;

/// The largest divisor of the number of test points up to so many.
index_t group_of(index_t points, index_t most) {
    index_t group = std::min(points, most);
    while (points % group != 0) --group;
    return group;
}

template <class T>
Values predict_joint(const Model<T>& model, Posterior<T>& posterior, const RunOptions& options) {
    const index_t group = group_of(model.test_count, 7);
    std::vector<T> mean(model.test_count * model.outputs), covariance(model.test_count * group);
    posterior.predict_joint(model.test(), group, mean.data(), covariance.data(), nullptr, options);
    Values values(mean.begin(), mean.end());
    append(values, covariance.data(), std::ssize(covariance));
    return values;
}

/// Derivatives of the sum of all means and joint covariances.
template <class T>
Values pull_back(const Model<T>& model, Posterior<T>& posterior, index_t most,
                 gp::Derivatives wanted, const RunOptions& options) {
    const index_t m = model.test_count, group = most > 0 ? group_of(m, most) : 1;
    const std::vector<T> ones(m * std::max(group, model.outputs), T(1));
    const gp::Cotangents<T> cotangents{
        {ones.data(), model.outputs, m}, most > 0 ? ones.data() : nullptr, group};
    const auto adjoint = posterior.pull_back(model.test(), cotangents, wanted, nullptr, options);
    Values values;
    append(values, adjoint.parameters.data(), std::ssize(adjoint.parameters));
    for (const auto* part : {&adjoint.noise, &adjoint.targets, &adjoint.inputs, &adjoint.basis,
                             &adjoint.test_inputs, &adjoint.test_basis})
        append(values, part->data(), part->size());
    return values;
}

template <class T>
using OnColumns = void (Posterior<T>::*)(MatrixView<T>, const RunOptions&);

template <class T>
auto on_columns(OnColumns<T> function) {
    return [function](const Model<T>& model, Posterior<T>& posterior, const RunOptions& options) {
        const index_t count = 40;
        auto b = model.columns(count);
        (posterior.*function)({b.data(), model.rows, count}, options);
        return Values(b.begin(), b.end());
    };
}

template <class T>
Values cholesky(const Model<T>& model, Posterior<T>& posterior, const RunOptions& options) {
    std::vector<T> dense(model.rows * model.rows);
    posterior.cholesky({dense.data(), model.rows, model.rows}, options);
    return {dense.begin(), dense.end()};
}

template <class T>
Values inverse_diagonal(const Model<T>& model, Posterior<T>& posterior, const RunOptions& options) {
    std::vector<T> diagonal(model.rows);
    posterior.inverse_diagonal(diagonal.data(), options);
    return {diagonal.begin(), diagonal.end()};
}

/// The last third of the rows comes to the others.
template <class T>
Values append_rows(const Model<T>& model, Posterior<T>&, const RunOptions& options) {
    std::vector<index_t> known(model.rows - model.rows / 3);
    std::iota(known.begin(), known.end(), index_t{0});
    const auto before = model.select(known);
    Posterior<T> posterior(before.problem());
    return factor_values(gp::append_rows(posterior.factor(options), model.problem(), options));
}

template <class T>
Values delete_rows(const Model<T>& model, Posterior<T>& posterior, index_t every,
                   const RunOptions& options) {
    std::vector<index_t> leaving, kept;
    for (index_t row = 0; row < model.rows; ++row)
        (row % every == every - 1 ? leaving : kept).push_back(row);
    const auto rest = model.select(kept);
    return factor_values(
        gp::delete_rows(posterior.factor(options), leaving, rest.problem(), options));
}

template <class T>
std::vector<T> select_rows(const std::vector<T>& values, index_t width,
                           const std::vector<index_t>& kept) {
    std::vector<T> selected;
    for (const index_t row : kept)
        selected.insert(selected.end(), values.begin() + row * width,
                        values.begin() + (row + 1) * width);
    return selected;
}

}  // namespace

template <class T>
Model<T>::Model(Random& random, index_t rows_)
    : rows(rows_),
      dimension(between(random, 1, 4)),
      outputs(between(random, 1, 3)),
      trends(between(random, 0, 2)),
      tile_size(between(random, 0, 9) == 0 ? rows + 1 : between(random, 9, 90)),
      test_count(between(random, rows / 3, rows)),
      x(normal<T>(random, rows * dimension)),
      targets_t(normal<T>(random, rows * outputs)),
      basis_t(normal<T>(random, rows * trends)),
      test_x(normal<T>(random, test_count * dimension)),
      test_basis_t(normal<T>(random, test_count * trends)),
      noise(between(random, 0, 1) == 0 ? 1 : rows) {
    for (auto& value : noise) value = std::uniform_real_distribution<double>(0.1, 1.0)(random);
    const auto [program, parameters] = random_kernel(random, dimension);
    const std::vector<std::uint8_t> is_free(parameters.size(), 1);
    kernel = std::make_shared<covariance::Kernel<T>>(program, parameters, is_free);
}

template <class T>
gp::Problem<T> Model<T>::problem() const {
    return {*kernel,
            {x.data(), rows, dimension, 0},
            {targets_t.data(), outputs, rows},
            {basis_t.data(), trends, rows},
            noise,
            tile_size};
}

template <class T>
Model<T> Model<T>::select(const std::vector<index_t>& kept) const {
    Model selected = *this;
    selected.rows = std::ssize(kept);
    selected.x = select_rows(x, dimension, kept);
    selected.targets_t = select_rows(targets_t, outputs, kept);
    selected.basis_t = select_rows(basis_t, trends, kept);
    if (noise.size() > 1) selected.noise = select_rows(noise, 1, kept);
    return selected;
}

template <class T>
gp::TestPoints<T> Model<T>::test() const {
    return {{test_x.data(), test_count, dimension, 0}, {test_basis_t.data(), trends, test_count}};
}

template <class T>
std::vector<T> Model<T>::columns(index_t count) const {
    Random random(7);
    return normal<T>(random, rows * count);
}

template <class T>
const std::vector<Operation<T>>& operations() {
    using gp::Inputs, gp::Objective;
    using M = const Model<T>&;
    using P = Posterior<T>&;
    using O = const RunOptions&;
    static const std::vector<Operation<T>> all{
        {"likelihood and gradient",
         [](M m, P, O o) {
             return differentiate(m, Objective::marginal_likelihood, Inputs::differentiated, o);
         }},
        {"leave-one-out and gradient",
         [](M m, P, O o) { return differentiate(m, Objective::leave_one_out, Inputs::fixed, o); }},
        {"cholesky", cholesky<T>},
        {"mean", predict_mean<T>},
        {"variance", predict_variance<T>},
        {"covariance", predict_covariance<T>},
        {"gradient of predictions", predict_gradient<T>},
        {"joint covariances", predict_joint<T>},
        {"derivatives of joint covariances",
         [](M m, P p, O o) { return pull_back(m, p, 7, kEverything, o); }},
        {"derivatives of a covariance",
         [](M m, P p, O o) { return pull_back(m, p, m.test_count, kEverything, o); }},
        {"derivatives of means", [](M m, P p, O o) { return pull_back(m, p, 0, kEverything, o); }},
        {"derivatives by test points",
         [](M m, P p, O o) { return pull_back(m, p, 7, gp::Derivatives::test_inputs, o); }},
        {"solve", on_columns<T>(&Posterior<T>::solve)},
        {"multiply", on_columns<T>(&Posterior<T>::multiply)},
        {"color", on_columns<T>(&Posterior<T>::color)},
        {"diagonal of the inverse", inverse_diagonal<T>},
        {"append rows", append_rows<T>},
        {"delete few rows",
         [](M m, P p, O o) { return delete_rows(m, p, std::max<index_t>(2, m.rows / 2), o); }},
        {"delete many rows", [](M m, P p, O o) { return delete_rows(m, p, index_t{7}, o); }},
    };
    return all;
}

template struct Model<float>;
template struct Model<double>;
template const std::vector<Operation<float>>& operations();
template const std::vector<Operation<double>>& operations();

}  // namespace gprat::stress
