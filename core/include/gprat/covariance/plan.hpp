#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gprat/covariance/matern_table.hpp"
#include "gprat/covariance/program.hpp"
#include "gprat/types.hpp"

namespace gprat::covariance {

/// How a leaf measures distances: the differences of two points, coordinate by coordinate, are
/// multiplied by 1/length_scale = power · rest. Multiplying points by the nearest power of two is
/// exact, so it may come before the subtraction; near-duplicates far from the origin stay as
/// distinct as they are. It also keeps squares in range, whatever the unit of a feature.
template <class T>
struct Metric {
    std::vector<T> power;  ///< one a coordinate
    std::vector<T> rest;   ///< one, or one a coordinate

    bool is_isotropic() const { return rest.size() == 1; }
};

/// One hyperparameter of a leaf.
struct Hyperparameter {
    index_t first = 0;           ///< in the vector of parameters
    std::vector<double> values;  ///< as the leaf uses them: reciprocals where the program says so
    std::vector<bool> is_free;

    double at(index_t i) const { return values[values.size() == 1 ? 0 : i]; }
    bool any_free() const;
};

/// What a leaf computes of a pair of points, once they have been mapped to coordinates.
enum class LeafKind {
    none,        ///< nothing: it doesn't read points
    distance,    ///< a function of their squared distance
    dot_product  ///< their dot product
};

/// One instruction with all that is known before any point is.
template <class T>
struct Node {
    Opcode opcode = Opcode::constant;
    index_t left = -1;   ///< node of the first operand, or of the only one
    index_t right = -1;  ///< node of the second operand
    std::vector<Hyperparameter> parameters;
    double sign = 1.0;  ///< of derivatives: −1 where the leaf computes with reciprocals
    double constant = 0.0;

    LeafKind kind = LeafKind::none;
    std::vector<index_t> features;  ///< what the leaf reads of a point
    bool reads_all = false;         ///< whether that is the whole point, in order
    index_t coordinates = 0;        ///< what it makes of that: see warp.hpp
    Metric<T> metric;
    std::shared_ptr<const MaternTable> table;  ///< of a Matern kernel with any ν

    /// Of the reverse pass for parameters, and of that for points too: whether a derivative of this
    /// node, or below it, is wanted; and whether its value is needed for that.
    bool is_active[2] = {false, false};
    bool is_needed[2] = {false, false};

    index_t value_slot = -1;     ///< block for the value; none for constants
    index_t distance_slot = -1;  ///< block for the distances of a leaf of that kind
    index_t scratch_slot = -1;   ///< this block and the next may be used when reversing this node
    index_t coordinate_offset = -1;  ///< where the leaf's packed points start, in coordinates

    double value(index_t parameter, index_t i = 0) const { return parameters[parameter].at(i); }
};

/// Which derivatives a reverse pass is for.
enum class Derivatives { parameters = 0, points = 1 };

/// A program with values for its parameters, ready to be run on blocks.
template <class T>
struct Plan {
    Plan(const Program& program, std::span<const double> parameters,
         std::span<const std::uint8_t> is_free);

    const Node<T>& root() const { return nodes.back(); }

    std::vector<Node<T>> nodes;    ///< in the program's order: operands before operators
    index_t weights_slot = 0;      ///< block for the adjoint of the root
    index_t slots = 0;             ///< how many blocks a run needs
    index_t coordinates = 0;       ///< of all leaves together
    index_t most_coordinates = 1;  ///< of any leaf
    index_t features;

private:
    void connect_operands();
    void mark_active();
    void mark_needed(index_t pass);
    void assign_slots();
};

}  // namespace gprat::covariance
