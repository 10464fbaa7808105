// Where full evaluations fall among `total` evaluations: one function for each rule, of numbers alone.
// Each gives rising indices from 0 to total - 1, the first of them 0; `total` is at least 1.
#pragma once

#include <cstdint>
#include <vector>

namespace asdm::placement {

using Indices = std::vector<int64_t>;

/// Every `interval`-th: 0, interval, 2 interval, ... `interval` is at least 1. DeepCache, FORA and Faster Diffusion.
[[nodiscard]] Indices at_interval(int64_t total, int64_t interval);

// From here on, `count` is from 1 to `total` and is exactly how many indices come back.

/// Gaps that differ by one at most: the j-th is ceil(j total / count).
[[nodiscard]] Indices evenly(int64_t total, int64_t count);

/// Even in a coordinate: `path` has one value per evaluation and does not fall; the j-th index is the first whose value
/// reaches the j-th of `count` equal parts of the way. The last evaluation counts for as much way as the one before it.
/// A path that stands still gives `evenly`.
[[nodiscard]] Indices along(const std::vector<double>& path, int64_t count);

/// Key steps of Faster Diffusion (arXiv 2312.09608): 0, 1, 2, 3, 5, 10, 15, 25, 35 of 50, scaled to `total`.
/// Where a short run makes some fall together there are fewer than nine.
[[nodiscard]] Indices front(int64_t total);
/// `count` points of the same curve.
[[nodiscard]] Indices front(int64_t total, int64_t count);

/// All i with 9 + 8 i a perfect square: 0, 2, 5, 9, 14, ... (gaps 2, 3, 4, ...). "pro" mode of Faster Diffusion.
[[nodiscard]] Indices triangular(int64_t total);
/// The first `count` of them, scaled so that the next one would be `total`.
[[nodiscard]] Indices triangular(int64_t total, int64_t count);

/// Equal steps in i^(1/power), so denser at the start for a power above 1. DeepCache (arXiv 2312.00858),
/// sample_from_quad.
[[nodiscard]] Indices quadratic(int64_t total, int64_t count, double power);

/// How `around` raises the negative distances before its centre to a power.
enum class SignRule {
  kSigned,     ///< sign(x) |x|^power: dense at the centre, as the rule was meant
  kPublished,  ///< real part of the complex power, as DeepCache's code computes it: nearly even
};

/// Equal steps in the distance to `centre` to the 1/power; powers from `power` down in steps of 0.02 are tried until
/// the truncated indices are `count` different ones. Where no power above 1 does it (`count` near `total`): `evenly`.
/// DeepCache (arXiv 2312.00858), sample_from_quad_center.
[[nodiscard]] Indices around(int64_t total, int64_t count, int64_t centre, double power, SignRule rule);

/// Gaps first_gap, first_gap ratio, first_gap ratio^2, ... `first_gap` is at least 1, `ratio` above 1.
[[nodiscard]] Indices growing(int64_t total, int64_t first_gap, double ratio);
/// `count` gaps that grow from `first_gap` by the ratio that makes them fill `total`; where `first_gap` is too wide for
/// that, `evenly`.
[[nodiscard]] Indices growing_to(int64_t total, int64_t first_gap, int64_t count);

/// Gaps that widen by one at every second index: floor(first_gap + j / 2). The window of the "spectrum" cache of
/// stable-diffusion.cpp, which begins with 2 after four full evaluations.
[[nodiscard]] Indices widening(int64_t total, int64_t first_gap);
/// The first `count` of them, scaled so that the next one would be `total`.
[[nodiscard]] Indices widening_to(int64_t total, int64_t first_gap, int64_t count);

}  // namespace asdm::placement
