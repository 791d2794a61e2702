#pragma once

#include "gprat/covariance/plan.hpp"
#include "gprat/types.hpp"

/// Covariances that depend on the distance r of two points only, and their derivatives, for whole
/// blocks of distances. `node` is the leaf, `count` the size of the arrays.
namespace gprat::covariance::stationary {

/// values := k(r). On entry `distances` holds r², on return what the functions below need. For the
/// angular kernel, `values` holds on entry the squared lengths of the sums of the points.
template <class T>
void evaluate(const Node<T>& node, index_t count, T* distances, T* values);

/// weights := adjoint · (−2 ∂k/∂r²), so that ∂/∂ log length_scale(f) of the whole is the sum over
/// pairs of weights · (difference of coordinate f / length_scale(f))².
template <class T>
void weigh_squares(const Node<T>& node, index_t count, const T* distances, const T* values,
                   const T* adjoint, T* weights);

/// Σ weights · r²
template <class T>
double sum_weighted_squares(const Node<T>& node, index_t count, const T* weights,
                            const T* distances);

/// Σ adjoint · ∂k/∂ log α of the rational quadratic kernel; `weights` come from weigh_squares.
template <class T>
double shape_derivative(const Node<T>& node, index_t count, const T* distances, const T* values,
                        const T* adjoint, const T* weights, T* scratch);

/// Σ adjoint · ∂k/∂ log length_scale and Σ adjoint · ∂k/∂ log periodicity of the periodic kernel.
/// `weighted` holds adjoint · k.
template <class T>
double periodic_length_scale_derivative(const Node<T>& node, index_t count, const T* distances,
                                        const T* weighted, T* scratch);
template <class T>
double periodicity_derivative(const Node<T>& node, index_t count, const T* distances,
                              const T* weighted, T* scratch);

}  // namespace gprat::covariance::stationary
