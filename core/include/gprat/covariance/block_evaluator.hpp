#pragma once

#include <span>
#include <vector>

#include "gprat/covariance/covariance.hpp"
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

    /// All points that the blocks to come are cut from.
    BlockEvaluator(const Plan<T>& plan, const Points<T>& rows, const Points<T>& columns,
                   Pairing pairing);

    /// The block's rows, at most kRows; then its columns, at most kColumns.
    void set_rows(index_t begin, index_t count);
    void set_columns(index_t begin, index_t count);

    void evaluate(MatrixView<T> k);

    /// What is wanted of the blocks to come.
    void begin_gradient(const GradientSink<T>& sink);
    /// Adds a block's derivatives; those that go through the coordinates of points are collected.
    void accumulate_gradient(MatrixView<const T> weights);
    /// Adds what was collected.
    void finish_gradient();

private:
    /// scale · block, or the same number everywhere if there is no block.
    struct Value {
        const T* block;
        double scale;
    };

    T* slot(index_t index) { return slots_ + index * kRows * kColumns; }
    T* packed_rows(const Node<T>& node) { return rows_ + node.coordinate_offset * kRows; }
    T* packed_columns(const Node<T>& node) { return columns_ + node.coordinate_offset * kColumns; }
    /// The same points mirrored at the origin, of angular leaves only.
    T* mirrored_columns(const Node<T>& node) {
        return packed_columns(node) + plan_.coordinates * kColumns;
    }
    pair_math::BlockShape shape(const Node<T>& node) const {
        return {panels_, column_set_.count, node.coordinates};
    }
    /// Rows or columns, and what leaves make of them.
    struct PointSet {
        Points<T> points;
        index_t begin = 0;             ///< of the block
        index_t count = 0;             ///< in the block
        std::vector<T> coordinates;    ///< row-major, leaf after leaf; empty if no leaf needs them
        std::vector<double> adjoints;  ///< the same of derivatives; empty if none are wanted
    };

    void map(PointSet& set);
    /// The coordinates of the block's points, row-major: the points themselves where a leaf takes
    /// them as they are.
    const T* coordinates(const Node<T>& node, const PointSet& set) const;
    void read_features(const Node<T>& node, const Points<T>& points, index_t point);

    Value value(const Node<T>& node);
    Value white(const Node<T>& node);
    Value dot_product(const Node<T>& node);
    Value distance_leaf(const Node<T>& node);
    void square_distances(const Node<T>& node, const T* columns, T* squares);
    Value sum(Value a, Value b, T* out);
    Value product(Value a, Value b, T* out);
    Value power(Value base, double exponent, T* out);
    Value slope(Value base, double exponent, T* out);

    void reverse(const Node<T>& node, Value adjoint);
    void reverse_distance(const Node<T>& node, Value adjoint);
    void reverse_length_scales(const Node<T>& node, index_t parameter, double scale,
                               const T* weights);
    void reverse_exp_sine_squared(const Node<T>& node, Value adjoint);
    void reverse_points(const Node<T>& node, pair_math::PairTerm term, double scale,
                        const T* weights);
    void finish_gradient(const Node<T>& node, const PointSet& set, double* sink);
    bool wants(const Node<T>& node, index_t parameter) const;
    /// Whether derivatives by the coordinates of points are wanted.
    bool wants_points(const Node<T>& node) const;
    double sum_where_same(const T* block) const;
    void add_derivative(const Node<T>& node, index_t parameter, index_t i, double value);

    const Plan<T>& plan_;
    std::vector<Value> values_;
    GradientSink<T> sink_;
    index_t pass_ = 0;
    std::vector<double> sums_;         ///< one a coordinate
    std::vector<double> column_sums_;  ///< kColumns × coordinates
    std::vector<double> point_;        ///< one point's coordinates
    std::vector<double> features_;     ///< of one point, as a leaf reads them
    std::vector<double> by_features_;

    PointSet row_set_;
    PointSet column_set_;
    Pairing pairing_;
    index_t panels_ = 0;
    index_t count_ = 0;       ///< entries of a block, padding included
    index_t same_begin_ = 0;  ///< columns [same_begin_, same_end_) meet themselves, same_offset_
    index_t same_end_ = 0;    ///< rows further down
    index_t same_offset_ = 0;

    T* slots_;
    T* rows_;
    T* columns_;
    T* panel_;
    T* row_sums_;
};

}  // namespace gprat::covariance
