"""The section of docs/benchmarks.md on the dial `speed`."""

from .tables import NONE, table


def section(result: dict) -> list[str]:
    introduction = (
        f"The dial at {', '.join(result['mean_gain_db'])}, one setting for all, against the best of all settings of "
        "DeepCache, EasyCache, LazyCache, first-block cache, SADA, spectrum and Faster Diffusion at equal work, in "
        "conditions, prompts and seeds that it was not made on (two pictures each where no batch is named, of the "
        "model of scenes, whose pictures the noise decides: demo/README.md). Work is counted in multiply-accumulates; "
        "dB are PSNR of latents, SSIM and LPIPS (AlexNet; 0 is equal) those of pictures, to the run without "
        "inheritance. Where more is asked than it can give, the dial does less and says so.")
    rows = [[row["condition"], row["speed"], f"{row['work']:.2f}", f"{row['psnr']:.1f}", f"{row['ssim']:.4f}",
             f"{row['lpips']:.3f}",
             NONE if row["peers"] is None else f"{row['peers']:.1f}",
             NONE if row["gain_db"] is None else f"{row['gain_db']:+.1f}"] for row in result["rows"]]
    means = [[f"mean, least of {result['conditions']}", speed, "", "", "", "", "",
              f"{mean:+.1f}, {result['least_gain_db'][speed]:+.1f}"] for speed, mean in result["mean_gain_db"].items()]
    left = [f"Not yet measured: {'; '.join(result['left'])}."] if result["left"] else []
    titles = ["condition", "asked", "times less work", "dB", "SSIM", "LPIPS", "best peer, dB", "gain, dB"]
    return ["## The dial", introduction, table(titles, [*means, *rows]), *left]
