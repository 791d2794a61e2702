#include "gprat/gp/batch.hpp"

#include <algorithm>
#include <numeric>

#include "gprat/error.hpp"
#include "gprat/gp/adjoint.hpp"
#include "gprat/gp/tile_size.hpp"

namespace gprat::gp {

namespace {

// On one thread, one tile is the best up to here.
constexpr index_t kOneTileUpTo = 512;

// What a task should have to do at least: scheduling it costs some microseconds.
constexpr double kTaskFlops = 4e6;
// Tasks for each thread, at least: the last ones end at about the same time.
constexpr double kTasksPerThread = 8.0;

index_t tile_size_for(index_t n) {
    return n <= kOneTileUpTo ? n : automatic_tile_size(n, 1);
}

template <class T>
covariance::Kernel<T> make_kernel(const Batch<T>& batch, const Selection& selection,
                                  index_t place) {
    const auto count = static_cast<std::size_t>(batch.program.parameter_count());
    const auto first = static_cast<std::size_t>(place) * count;
    return {batch.program, selection.parameters.subspan(first, count), batch.is_free};
}

template <class T>
Problem<T> make_problem(const Batch<T>& batch, const Selection& selection, index_t place,
                        const covariance::Covariance<T>& kernel) {
    const index_t member = selection.members[place];
    const index_t first = batch.rows.begin(member), n = batch.rows.count(member);
    const index_t d = batch.inputs.dimension;
    return {kernel,
            {batch.inputs.data + first * d, n, d, 0},
            {batch.targets + batch.rows.own_begin(member), 1, n},
            batch.basis_t.block(0, first, batch.basis_t.rows, n),
            {selection.noise[place]},
            tile_size_for(n)};
}

/// Calls `work(place)` for each place below `count`, some to a task, and collects who fails.
/// `flops(place)` says how much each has to do.
template <class Flops, class Work>
std::vector<MemberFailure> for_each_member(const char* name, index_t count, Flops&& flops,
                                           const tasks::RunOptions& options, Work&& work) {
    using Cause = MemberFailure::Cause;
    std::vector<MemberFailure> failures(static_cast<std::size_t>(count));
    const auto attempt = [&](index_t place) {
        try {
            work(place);
        } catch (const NotPositiveDefinite& e) {
            failures[place] = {e.is_finite ? Cause::not_positive_definite : Cause::not_finite,
                               e.pivot};
        } catch (const RankDeficient& e) {
            failures[place] = {Cause::rank_deficient, e.column};
        }
    };
    double total = 0.0;
    for (index_t place = 0; place < count; ++place) total += flops(place);
    tasks::TaskGraph graph(with_threads_for(options, total));
    const double enough = std::min(kTaskFlops, total / (kTasksPerThread * graph.threads()));
    for (index_t first = 0; first < count;) {
        double task_flops = 0.0;
        index_t last = first;
        while (last < count && (last == first || task_flops < enough)) task_flops += flops(last++);
        graph.add({name, first, last, task_flops}, first, {}, {}, [attempt, first, last] {
            for (index_t place = first; place < last; ++place) attempt(place);
        });
        first = last;
    }
    graph.run();
    return failures;
}

double cube(index_t n) {
    const auto points = static_cast<double>(n);
    return points * points * points;
}

/// Where each member's covariances begin.
std::vector<index_t> covariance_offsets(const MemberRows& rows, index_t members) {
    std::vector<index_t> offsets(static_cast<std::size_t>(members) + 1, 0);
    for (index_t i = 0; i < members; ++i)
        offsets[i + 1] = offsets[i] + rows.count(i) * rows.count(i);
    return offsets;
}

}  // namespace

template <class T>
std::vector<MemberFailure> evaluate(const Batch<T>& batch, const Selection& selection,
                                    const Likelihoods& results, const tasks::RunOptions& options) {
    const bool with_gradient = results.parameters != nullptr;
    const index_t count = batch.program.parameter_count();
    const auto flops = [&](index_t place) {
        return cube(batch.rows.count(selection.members[place])) * (with_gradient ? 1.0 : 1.0 / 3.0);
    };
    return for_each_member("member", selection.size(), flops, options, [&](index_t place) {
        const auto kernel = make_kernel(batch, selection, place);
        auto problem = make_problem<T>(batch, selection, place, kernel);
        if (!with_gradient) {
            Posterior<T> posterior(std::move(problem));
            results.values[place] = posterior.conditioning({}).log_marginal_likelihood();
            return;
        }
        const auto adjoint =
            differentiate(problem, Objective::marginal_likelihood, Inputs::fixed, {});
        results.values[place] = adjoint.value;
        std::ranges::copy(adjoint.parameters, results.parameters + place * count);
        const double* const by_row = adjoint.noise.data();
        results.noise[place] = std::accumulate(by_row, by_row + adjoint.noise.size(), 0.0);
    });
}

template <class T>
BatchPosterior<T>::Member::Member(const Batch<T>& batch, const Selection& selection, index_t place)
    : number(selection.members[place]),
      kernel(make_kernel(batch, selection, place)),
      posterior(make_problem<T>(batch, selection, place, kernel)) {}

template <class T>
BatchPosterior<T>::BatchPosterior(const Batch<T>& batch, const Selection& selection,
                                  const tasks::RunOptions& options)
    : members_(static_cast<std::size_t>(selection.size())) {
    const auto flops = [](index_t) { return 1e4; };  // about the time it takes
    for_each_member("member", size(), flops, options, [&](index_t place) {
        members_[place] = std::make_unique<Member>(batch, selection, place);
    });
}

template <class T>
std::vector<MemberFailure> BatchPosterior<T>::predict(Prediction what,
                                                      const BatchTestPoints<T>& test,
                                                      const BatchPredictions<T>& results,
                                                      const tasks::RunOptions& options) {
    index_t members = 0;
    for (const auto& member : members_) members = std::max(members, member->number + 1);
    std::vector<index_t> squares;
    if (what == Prediction::covariance) squares = covariance_offsets(test.rows, members);
    const auto flops = [&](index_t place) {
        const auto& problem = members_[place]->posterior.problem();
        return cube(problem.size()) / 3.0 +
               prediction_flops(problem, test.rows.count(members_[place]->number), what);
    };
    return for_each_member("member", size(), flops, options, [&](index_t place) {
        auto& [number, kernel, posterior] = *members_[place];
        const index_t first = test.rows.begin(number), m = test.rows.count(number);
        const index_t d = test.points.points.dimension;
        const TestPoints<T> points{
            {test.points.points.data + first * d, m, d, 0},
            test.points.basis_t.block(0, first, test.points.basis_t.rows, m)};
        T* const mean = results.mean + test.rows.own_begin(number);
        switch (what) {
            case Prediction::mean:
                posterior.predict_mean(points, mean, {});
                break;
            case Prediction::variance:
                results.clipping[place] = posterior.predict_variance(
                    points, mean, results.spread + test.rows.own_begin(number), {});
                break;
            case Prediction::covariance:
                results.clipping[place] = posterior.predict_covariance(
                    points, mean, results.spread + squares[number], {});
                break;
        }
    });
}

#define GPRAT_INSTANTIATE(T)                                                                    \
    template std::vector<MemberFailure> evaluate(const Batch<T>&, const Selection&,             \
                                                 const Likelihoods&, const tasks::RunOptions&); \
    template class BatchPosterior<T>;
GPRAT_INSTANTIATE(float)
GPRAT_INSTANTIATE(double)
#undef GPRAT_INSTANTIATE

}  // namespace gprat::gp
