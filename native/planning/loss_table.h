// What inheriting loses, by site and noise level (docs/speed.md): measured once (benchmark "losses"), shipped as a
// file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/unet/topology.h"

namespace asdm {

/// An evaluation at noise level `sigma` that inherits a site last computed at `before` misses the denoised latent, as
/// the sampler sees it, by level(sigma) * (ln(before / sigma) + strayed)^power (root of the mean square), and where the
/// sampler drew noise anew in between, by renewal_level(sigma) for all of it besides.
struct SiteLoss {
  double depth = 0.0;  ///< share of the output blocks that are computed behind the site; 0 = the whole UNet is held
  double power = 1.0;
  std::vector<double> ln_level;  ///< at LossTable::ln_sigma
  std::vector<double> ln_renewal_level;
};

/// What lies between an evaluation and the one that computed what it inherits.
struct Since {
  double sigma = 0.0;    ///< noise level of that one
  double renewed = 0.0;  ///< how much of the input was drawn anew since, 0 to 1
  double strayed = 0.0;  ///< how far the two inputs lie from each other beside the run's smooth way, in ln(sigma)
};

struct LossTable {
  std::vector<double> ln_sigma;  ///< ascending
  std::vector<SiteLoss> sites;   ///< by ascending depth
  double peak = 1.0;             ///< range of the latents as the sampler sees them, which decibels refer to
  double reach = 1.0;            ///< distance in ln(sigma) at which the correlation of two misses has fallen to 1/e
  double kinship = 1.0;          ///< correlation of the misses of two sites at one noise level
  double pull = 0.0;     ///< how much each unit of guidance above 1 lowers that denoiser's slope where noise is high
  double lasting = 0.0;  ///< part of a miss in any evaluation that the picture keeps, however well the rest is mended
  double spread = 1.0;   ///< deviation of the Gaussian whose denoiser carries a miss on as the model does
  double forecast_ratio = 1.0;  ///< see forecast_share()
  double forecast_power = 0.0;

  /// The miss of a site at `depth`, between those of the table by interpolation.
  [[nodiscard]] double miss(double depth, double sigma, const Since& since) const;
  /// What a forecast (ValueForm::kTaylor1) misses of what the held value would, where the older of the two values that
  /// it is made from was computed `span` before it, in ln(sigma): forecast_ratio * span^forecast_power.
  [[nodiscard]] double forecast_share(double span) const;
};

/// ln(sigma); noise below a hundredth counts as a hundredth, as schedules end at 0.
[[nodiscard]] double ln_noise(double sigma);

/// Throws Error at "losses" for anything but such a file; `made_of`, its provenance, is not read.
[[nodiscard]] LossTable loss_table_from_json(std::string_view json);

}  // namespace asdm
