#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gprat/covariance/kernel.hpp"
#include "gprat/covariance/program.hpp"
#include "gprat/gp/posterior.hpp"
#include "gprat/gp/predict.hpp"
#include "gprat/tasks/task_graph.hpp"
#include "gprat/types.hpp"

/// Many small Gaussian processes at once: a task computes with some of them, each by the same
/// operations as a large one, which run inline there. So one thread has all of a small model in its
/// cache, and nobody waits for anybody.
namespace gprat::gp {

/// Rows of an array that belong to members: to one after the other, or all of them to each.
struct MemberRows {
    /// Of member i: [offsets[i], offsets[i + 1]). Two entries: the same rows for each.
    std::vector<index_t> offsets;

    bool are_shared() const { return offsets.size() == 2; }
    index_t begin(index_t member) const { return are_shared() ? 0 : offsets[member]; }
    index_t count(index_t member) const {
        return are_shared() ? offsets[1] : offsets[member + 1] - offsets[member];
    }
    /// Where the first of the member's rows is if each has its own, as results do.
    index_t own_begin(index_t member) const {
        return are_shared() ? member * offsets[1] : offsets[member];
    }
};

/// Independent Gaussian processes, the members, that share the structure of a kernel but no
/// hyperparameters; one output each. Owns no arrays.
template <class T>
struct Batch {
    const covariance::Program& program;
    std::vector<std::uint8_t> is_free;  ///< which parameters of the kernel are differentiated
    covariance::Points<T> inputs;       ///< of all members
    MatrixView<const T> basis_t;        ///< trends × rows of `inputs`
    MemberRows rows;                    ///< of inputs and basis
    const T* targets;                   ///< each member's own, one after the other
};

/// Which members a call is for, and with which hyperparameters. A member may come again with
/// others.
struct Selection {
    std::span<const index_t> members;
    std::span<const double> parameters;  ///< all of the kernel's, a row for each of `members`
    std::span<const double> noise;       ///< a variance for each of `members`

    index_t size() const { return std::ssize(members); }
};

/// Why one of a selection has no result.
struct MemberFailure {
    enum class Cause { none = 0, not_positive_definite = 1, not_finite = 2, rank_deficient = 3 };

    Cause cause = Cause::none;
    index_t position = 0;  ///< row of the pivot, or column of the basis
};

/// Log marginal likelihoods of a selection, and where gradients are wanted, their derivatives; else
/// those are null.
struct Likelihoods {
    double* values;
    double* parameters;  ///< by each of the kernel's, a row for each of the selection
    double* noise;       ///< by the noise variance
};

/// What it leaves of a member that fails is undefined. Failures come in the selection's order.
template <class T>
std::vector<MemberFailure> evaluate(const Batch<T>& batch, const Selection& selection,
                                    const Likelihoods& results, const tasks::RunOptions& options);

/// Test points of each member, or the same for all.
template <class T>
struct BatchTestPoints {
    TestPoints<T> points;
    MemberRows rows;
};

/// Where predictions go: member after member, whether or not it is in the selection.
template <class T>
struct BatchPredictions {
    T* mean;                       ///< one a test point
    T* spread;                     ///< variances, or each member's covariances; null for means
    std::span<Clipping> clipping;  ///< one for each of the selection
};

/// A selection given its data. Factors are computed by the first prediction and kept. Several
/// threads may call at the same time.
template <class T>
class BatchPosterior {
public:
    /// The batch outlives it, the selection need not.
    BatchPosterior(const Batch<T>& batch, const Selection& selection,
                   const tasks::RunOptions& options);
    BatchPosterior(BatchPosterior&&) noexcept = default;
    BatchPosterior& operator=(BatchPosterior&&) noexcept = default;

    index_t size() const { return std::ssize(members_); }

    /// What it leaves of a member that fails is undefined.
    std::vector<MemberFailure> predict(Prediction what, const BatchTestPoints<T>& test,
                                       const BatchPredictions<T>& results,
                                       const tasks::RunOptions& options);

private:
    struct Member {
        Member(const Batch<T>& batch, const Selection& selection, index_t place);

        index_t number;
        covariance::Kernel<T> kernel;
        Posterior<T> posterior;
    };

    std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace gprat::gp
