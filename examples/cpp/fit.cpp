// Learns the hyperparameters of a Gaussian process from a table of numbers and predicts.
//
//     fit TRAINING TEST
//
// Each row of TRAINING has the features of a point and then its target, separated by blanks; each
// row of TEST has features. A line of the output has a name and its values, exact to the last bit.
#include <cstdio>
#include <exception>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bfgs.hpp"
#include "gprat/error.hpp"
#include "gprat/gaussian_process.hpp"

namespace {

struct Table {
    std::vector<double> values;  // row by row
    gprat::index_t rows = 0;
    gprat::index_t columns = 0;
};

Table read_table(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path);
    Table table;
    for (std::string line; std::getline(file, line);) {
        std::istringstream numbers(line);
        const auto before = table.values.size();
        for (double value; numbers >> value;) table.values.push_back(value);
        const auto columns = static_cast<gprat::index_t>(table.values.size() - before);
        if (!numbers.eof() || columns == 0 || (table.rows > 0 && columns != table.columns))
            throw std::runtime_error(path + ": row " + std::to_string(table.rows + 1) +
                                     " is no row of numbers like the others");
        table.columns = columns;
        ++table.rows;
    }
    return table;
}

/// Takes the last column off.
std::vector<double> split_targets(Table& table) {
    std::vector<double> features, targets;
    for (gprat::index_t i = 0; i < table.rows; ++i) {
        const double* const row = &table.values[i * table.columns];
        features.insert(features.end(), row, row + table.columns - 1);
        targets.push_back(row[table.columns - 1]);
    }
    table.values = features;
    --table.columns;
    return targets;
}

void print(const char* name, const std::vector<double>& values) {
    std::printf("%s", name);
    for (const double value : values) std::printf(" %.17g", value);
    std::printf("\n");
}

gprat::Points<double> points_of(const Table& table) {
    return {table.values.data(), table.rows, table.columns};
}

/// What training minimises: the negative log marginal likelihood.
std::pair<double, std::vector<double>> loss(gprat::GaussianProcess<double>& model,
                                            const std::vector<double>& theta) {
    try {
        model.set_theta(theta);
        auto [value, gradient] = model.differentiate();
        for (double& entry : gradient) entry = -entry;
        return {-value, gradient};
    } catch (const gprat::NotPositiveDefinite&) {
        return {std::numeric_limits<double>::infinity(), std::vector<double>(theta.size())};
    }
}

void run(const std::string& training_path, const std::string& test_path) {
    namespace kernels = gprat::kernels;
    Table training = read_table(training_path);
    const auto targets = split_targets(training);
    const Table test = read_table(test_path);

    const std::vector<double> length_scales(training.columns, 1.0);
    gprat::GaussianProcess<double> model(points_of(training), targets,
                                         kernels::constant(1.0) * kernels::rbf(length_scales), 0.1);
    const auto start = model.differentiate();
    print("start_log_marginal_likelihood", {start.value});
    print("start_gradient", start.gradient);

    model.set_theta(
        bfgs::minimise([&](const auto& theta) { return loss(model, theta); }, model.theta()));
    print("tile_size", {static_cast<double>(model.tile_size())});
    print("hyperparameters", model.kernel().parameters());
    print("noise_variance", {model.noise_variance()});
    print("log_marginal_likelihood", {model.log_marginal_likelihood()});
    print("gradient", model.differentiate().gradient);
    const auto [mean, variance] = model.predict_variance(points_of(test));
    print("mean", mean);
    print("variance", variance);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: fit TRAINING TEST\n");
        return 2;
    }
    try {
        run(argv[1], argv[2]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "fit: %s\n", error.what());
        return 1;
    }
}
