#include <algorithm>
#include <memory>
#include <random>
#include <utility>

#include "gprat/calibration/measure.hpp"
#include "gprat/covariance/kernel.hpp"
#include "gprat/gp/adjoint.hpp"
#include "gprat/gp/posterior.hpp"
#include "gprat/linalg/buffer.hpp"
#include "team.hpp"

namespace gprat::calibration {

namespace {

/// Times the tasks of one thread.
class Stopwatch final : public tasks::Observer {
public:
    Stopwatch() { times_.reserve(kMostTasks); }

    index_t graph_created(int) noexcept override { return 0; }

    void task_started(tasks::TaskRun& run) noexcept override { run.start = thread_seconds(); }

    tasks::RunId task_finished(const tasks::TaskRun& run) noexcept override {
        const double elapsed = thread_seconds() - run.start - clock_;
        if (times_.size() < times_.capacity())
            times_.push_back({run.label.name, run.label.work, std::max(0.0, elapsed)});
        return tasks::kNoRun;
    }

    std::vector<TaskTime> take() { return std::move(times_); }

private:
    /// Far above what a workload of some tiles a side has.
    static constexpr std::size_t kMostTasks = 1 << 15;

    /// What a look at the clock takes.
    static double measure_clock() {
        double least = 1.0;
        for (int i = 0; i < 32; ++i) {
            const double start = thread_seconds();
            least = std::min(least, thread_seconds() - start);
        }
        return least;
    }

    double clock_ = measure_clock();
    std::vector<TaskTime> times_;
};

covariance::Program rbf_program(index_t features) {
    using covariance::Opcode;
    return {{{Opcode::constant, {{0, 1}}}, {Opcode::rbf, {{1, features}}}, {Opcode::product}},
            features + 1,
            features};
}

template <class T>
Buffer<T> random_numbers(index_t size, unsigned seed) {
    Buffer<T> numbers(size);
    std::mt19937 generator(seed);
    std::uniform_real_distribution<T> uniform(T(-3), T(3));
    for (index_t i = 0; i < size; ++i) numbers[i] = uniform(generator);
    return numbers;
}

/// The data of one thread, and all that is computed from them.
template <class T>
class Model {
public:
    Model(const Workload& workload, unsigned seed)
        : workload_(workload),
          inputs_(random_numbers<T>(workload.size * workload.features, seed)),
          targets_(random_numbers<T>(workload.size, seed + 1)),
          tests_(random_numbers<T>(workload.test_points * workload.features, seed + 2)),
          right_(random_numbers<T>(workload.size * workload.right_hand_sides, seed + 3)),
          kernel_(rbf_program(workload.features), std::vector<double>(workload.features + 1, 1.5),
                  std::vector<std::uint8_t>(workload.features + 1, 1)) {}

    std::vector<TaskTime> run() {
        const auto stopwatch = std::make_shared<Stopwatch>();
        tasks::RunOptions options;
        options.threads = 1;
        options.observer = stopwatch;
        const gp::Problem<T> problem{kernel_,
                                     {inputs_.data(), workload_.size, workload_.features},
                                     {targets_.data(), 1, workload_.size},
                                     {nullptr, 0, workload_.size},
                                     {0.1},
                                     workload_.tile_size};
        warm_pages(problem.layout());
        gp::differentiate(problem, gp::Objective::marginal_likelihood, gp::Inputs::fixed, options);
        predict(problem, options);
        return stopwatch->take();
    }

private:
    /// Fresh pages are measured on their own: the matrix finds used ones.
    static void warm_pages(const TileLayout& layout) {
        const Buffer<T> pages(TiledMatrix<T>::size_of(layout));
        std::fill_n(pages.data(), pages.size(), T(1));
    }

    void predict(const gp::Problem<T>& problem, const tasks::RunOptions& options) {
        const index_t m = workload_.test_points;
        const gp::TestPoints<T> test{{tests_.data(), m, workload_.features}, {nullptr, 0, m}};
        const Buffer<T> mean(m), variance(m), covariance(m * m);
        gp::Posterior<T> posterior(problem);
        posterior.predict_mean(test, mean.data(), options);
        posterior.predict_variance(test, mean.data(), variance.data(), options);
        posterior.predict_covariance(test, mean.data(), covariance.data(), options);
        posterior.solve({right_.data(), workload_.size, workload_.right_hand_sides}, options);
    }

    Workload workload_;
    Buffer<T> inputs_, targets_, tests_, right_;
    covariance::Kernel<T> kernel_;
};

}  // namespace

template <class T>
std::vector<TaskTime> measure_tasks(const Workload& workload) {
    std::vector<std::vector<TaskTime>> parts(static_cast<std::size_t>(workload.threads));
    run_team(workload.threads, [&](int member, const auto& start_together) {
        Model<T> model(workload, static_cast<unsigned>(member));
        start_together();
        parts[static_cast<std::size_t>(member)] = model.run();
    });
    std::vector<TaskTime> all;
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

template std::vector<TaskTime> measure_tasks<float>(const Workload&);
template std::vector<TaskTime> measure_tasks<double>(const Workload&);

}  // namespace gprat::calibration
