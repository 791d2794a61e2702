#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gprat/covariance/program.hpp"
#include "gprat/types.hpp"

namespace gprat::covariance {

/// How a leaf measures distances: the differences of two points, feature by feature, are multiplied
/// by 1/length_scale = power · rest. Multiplying points by the nearest power of two is exact, so it
/// may come before the subtraction; near-duplicates far from the origin stay as distinct as they
/// are. It also keeps squares in range, whatever the unit of a feature.
template <class T>
struct Metric {
    std::vector<T> power;  ///< one a feature
    std::vector<T> rest;   ///< one, or one a feature

    bool is_isotropic() const { return rest.size() == 1; }
};

/// One instruction with all that is known before any point is.
template <class T>
struct Node {
    Opcode opcode = Opcode::constant;
    index_t left = -1;   ///< node of the first operand, or of the only one
    index_t right = -1;  ///< node of the second operand
    index_t first_parameter = -1;
    std::vector<double> parameters;
    std::vector<bool> parameter_is_free;
    double exponent = 0.0;
    Metric<T> metric;

    bool is_free = false;    ///< whether a parameter of this node, or below it, is free
    bool is_needed = false;  ///< whether the gradient depends on this node's value

    index_t value_slot = -1;     ///< block for the value; none for constants
    index_t distance_slot = -1;  ///< block for the distances of a stationary leaf
    index_t scratch_slot = -1;   ///< this block and the next may be used when reversing this node
    index_t point_set = -1;      ///< which packed copy of the points this leaf reads
};

/// A program with values for its parameters, ready to be run on blocks.
template <class T>
struct Plan {
    Plan(const Program& program, std::span<const double> parameters,
         std::span<const std::uint8_t> is_free);

    const Node<T>& root() const { return nodes.back(); }

    std::vector<Node<T>> nodes;  ///< in the program's order: operands before operators
    index_t weights_slot = 0;    ///< block for the adjoint of the root
    index_t slots = 0;           ///< how many blocks a run needs
    index_t point_sets = 0;      ///< how many packed copies of the points it needs
    index_t features;

private:
    void connect_operands();
    void mark_needed();
    void assign_slots();
};

}  // namespace gprat::covariance
