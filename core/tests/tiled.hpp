#pragma once

#include <random>
#include <vector>

#include "gprat/linalg/tiled_matrix.hpp"

/// Dense matrices to put into tiles and to take out again.
namespace gprat {

template <class T>
using Dense = std::vector<T>;  // column-major n × n

template <class T>
Dense<T> random_positive_definite(index_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<double> g(n * n);
    for (auto& value : g) value = normal(random);
    Dense<T> a(n * n);
    for (index_t j = 0; j < n; ++j)
        for (index_t i = 0; i < n; ++i) {
            double sum = i == j ? 1.0 : 0.0;
            for (index_t k = 0; k < n; ++k) sum += g[i + k * n] * g[j + k * n] / double(n);
            a[i + j * n] = static_cast<T>(sum);
        }
    return a;
}

template <class T>
TiledMatrix<T> to_tiles(const Dense<T>& a, const TileLayout& layout) {
    TiledMatrix<T> tiled(layout);
    for (index_t i = 0; i < layout.tiles(); ++i)
        for (index_t j = 0; j <= i; ++j) {
            const auto tile = tiled.tile(i, j);
            for (index_t c = 0; c < tile.cols; ++c)
                for (index_t r = 0; r < tile.rows; ++r)
                    tile(r, c) = a[layout.begin(i) + r + (layout.begin(j) + c) * layout.size()];
        }
    return tiled;
}

/// The lower triangle, with zeros above.
template <class T>
Dense<T> lower(const TiledMatrix<T>& tiled) {
    const auto& layout = tiled.layout();
    Dense<T> a(layout.size() * layout.size(), T(0));
    for (index_t i = 0; i < layout.tiles(); ++i)
        for (index_t j = 0; j <= i; ++j) {
            const auto tile = tiled.tile(i, j);
            for (index_t c = 0; c < tile.cols; ++c)
                for (index_t r = i == j ? c : 0; r < tile.rows; ++r)
                    a[layout.begin(i) + r + (layout.begin(j) + c) * layout.size()] = tile(r, c);
        }
    return a;
}

}  // namespace gprat
