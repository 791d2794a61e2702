// What one call costs a C++ program, as JSON: the same calls that the study "border" makes in
// Python.
//
//     border OPERATION FILE N D CALLS THREADS
//
// FILE has N × D inputs, N targets and one test point, as raw doubles. "predict" is the mean at the
// test point once the factor is known; "likelihood" makes a model and evaluates it.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "gprat/gaussian_process.hpp"

namespace {

using Model = gprat::GaussianProcess<double>;

struct Data {
    std::vector<double> values;
    gprat::index_t n, d;

    gprat::Points<double> inputs() const { return {values.data(), n, d}; }
    std::span<const double> targets() const {
        return {values.data() + n * d, static_cast<std::size_t>(n)};
    }
    gprat::Points<double> test() const { return {values.data() + n * (d + 1), 1, d}; }
};

Data read_data(const char* path, gprat::index_t n, gprat::index_t d) {
    Data data{std::vector<double>(n * (d + 1) + d), n, d};
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(data.values.data()),
              static_cast<std::streamsize>(data.values.size() * sizeof(double)));
    if (!file) {
        std::fprintf(stderr, "border: %s is too short, or cannot be read\n", path);
        std::exit(1);
    }
    return data;
}

Model make_model(const Data& data, int threads) {
    namespace kernels = gprat::kernels;
    return {data.inputs(),
            data.targets(),
            kernels::constant(1.0) * kernels::rbf(std::vector<double>(data.d, 1.0)),
            0.1,
            {0, threads}};
}

/// Prints the value and the mean seconds of a call, after one that is not counted.
void time_calls(int calls, const std::function<double()>& call) {
    double value = call();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) value = call();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    std::printf("{\"value\": %.17g, \"seconds\": %.9g}\n", value, elapsed.count() / calls);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 7) {
        std::fprintf(stderr, "usage: border OPERATION FILE N D CALLS THREADS\n");
        return 2;
    }
    const std::string operation = argv[1];
    const Data data = read_data(argv[2], std::atol(argv[3]), std::atol(argv[4]));
    const int calls = std::atoi(argv[5]), threads = std::atoi(argv[6]);
    if (operation == "predict") {
        auto model = make_model(data, threads);
        time_calls(calls, [&] { return model.predict_mean(data.test())[0]; });
    } else if (operation == "likelihood") {
        time_calls(calls, [&] { return make_model(data, threads).log_marginal_likelihood(); });
    } else {
        std::fprintf(stderr, "border: no such operation: %s\n", operation.c_str());
        return 2;
    }
}
