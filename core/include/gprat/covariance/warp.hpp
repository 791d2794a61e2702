#pragma once

#include <span>

#include "gprat/covariance/plan.hpp"
#include "gprat/types.hpp"

/// From points to the coordinates that a leaf compares: a periodic kernel is an RBF kernel on
/// circles, a linear one the dot product of shifted points, and so on. Once a point, so that it
/// costs nothing beside the pairs; in double precision.
namespace gprat::covariance::warp {

/// Whether the coordinates are just the features.
bool is_trivial(Opcode opcode);

/// How many coordinates a leaf makes of so many features.
index_t coordinate_count(Opcode opcode, index_t features);

/// `features` holds those that the leaf reads of one point.
template <class T>
void map(const Node<T>& node, const double* features, double* coordinates);

/// Adds, given the derivatives of a sum by the coordinates of one point, those by the leaf's
/// hyperparameters (to `parameters`, of the whole program, where free) and those by its features.
template <class T>
void reverse(const Node<T>& node, const double* features, const double* adjoint,
             std::span<double> parameters, double* by_features);

}  // namespace gprat::covariance::warp
