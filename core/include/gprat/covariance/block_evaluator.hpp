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

    explicit BlockEvaluator(const Plan<T>& plan);

    /// The block's rows, at most kRows; then its columns, at most kColumns.
    void set_rows(const Points<T>& rows);
    void set_columns(const Points<T>& columns, Pairing pairing);

    void evaluate(MatrixView<T> k);
    /// Adds what the sink wants; its rows and columns are those of the block.
    void accumulate_gradient(MatrixView<const T> weights, const GradientSink<T>& sink);

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
        return {panels_, column_count_, node.coordinates};
    }
    /// The coordinates of points, row-major: the points themselves where a leaf takes them as they
    /// are.
    const T* coordinates(const Node<T>& node, const Points<T>& points);
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
    /// `adjoint` holds the derivatives by the coordinates of a point.
    void reverse_point(const Node<T>& node, const Points<T>& points, index_t point, double* sink);
    bool wants(const Node<T>& node, index_t parameter) const;
    double sum_where_same(const T* block) const;
    void add_derivative(const Node<T>& node, index_t parameter, index_t i, double value);

    const Plan<T>& plan_;
    std::vector<Value> values_;
    GradientSink<T> sink_;
    index_t pass_ = 0;
    std::vector<double> sums_;         ///< one a coordinate
    std::vector<double> column_sums_;  ///< kColumns × coordinates
    std::vector<double> adjoint_;      ///< of one point's coordinates
    std::vector<double> features_;     ///< of one point, as a leaf reads them
    std::vector<double> by_features_;

    Points<T> row_points_{};
    Points<T> column_points_{};
    index_t panels_ = 0;
    index_t column_count_ = 0;
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
    T* row_sums_;
    T* warped_;
};

}  // namespace gprat::covariance
