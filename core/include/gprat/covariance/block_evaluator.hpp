#pragma once

#include <span>
#include <vector>

#include "gprat/covariance/pair_math.hpp"
#include "gprat/covariance/plan.hpp"
#include "gprat/covariance/points.hpp"
#include "gprat/types.hpp"

namespace gprat::covariance {

/// Runs a plan forwards and in reverse on blocks small enough that all their values lie in cache.
/// Works in memory of the calling thread: one evaluator a thread at a time.
template <class T>
class BlockEvaluator {
public:
    /// Measured: high, because the processor fetches long runs of a column ahead; few columns, so
    /// that the values of several instructions fit into the first-level cache together.
    static constexpr index_t kRows = 128;
    static constexpr index_t kColumns = 8;

    explicit BlockEvaluator(const Plan<T>& plan);

    /// The block's rows, at most kRows; then its columns, at most kColumns.
    void set_rows(const Points<T>& rows);
    void set_columns(const Points<T>& columns, Pairing pairing);

    void evaluate(MatrixView<T> k);
    void accumulate_gradient(MatrixView<const T> weights, std::span<double> gradient);

private:
    /// scale · block, or the same number everywhere if there is no block.
    struct Value {
        const T* block;
        double scale;
    };

    T* slot(index_t index) { return slots_ + index * kRows * kColumns; }
    T* packed_rows(const Node<T>& node) { return rows_ + node.point_set * kRows * plan_.features; }
    T* packed_columns(const Node<T>& node) {
        return columns_ + node.point_set * kColumns * plan_.features;
    }

    Value value(const Node<T>& node);
    Value white(const Node<T>& node);
    Value dot_product(const Node<T>& node);
    Value stationary_leaf(const Node<T>& node);
    Value sum(Value a, Value b, T* out);
    Value product(Value a, Value b, T* out);
    Value power(Value base, double exponent, T* out);
    Value slope(Value base, double exponent, T* out);

    void reverse(const Node<T>& node, Value adjoint);
    void reverse_length_scales(const Node<T>& node, Value adjoint);
    void reverse_rational_quadratic(const Node<T>& node, Value adjoint);
    void reverse_exp_sine_squared(const Node<T>& node, Value adjoint);
    double sum_where_same(const T* block) const;
    void add_derivative(const Node<T>& node, index_t parameter, double value);

    const Plan<T>& plan_;
    std::vector<Value> values_;
    std::span<double> gradient_;
    std::vector<double> sums_;  ///< one a feature

    pair_math::BlockShape shape_{};
    index_t count_ = 0;      ///< entries of a block, padding included
    index_t row_count_ = 0;  ///< without padding
    index_t first_row_ = 0;
    index_t same_begin_ = 0;  ///< columns [same_begin_, same_end_) meet themselves, same_offset_
    index_t same_end_ = 0;    ///< rows further down
    index_t same_offset_ = 0;

    T* slots_;
    T* rows_;
    T* columns_;
    T* panel_;
};

}  // namespace gprat::covariance
