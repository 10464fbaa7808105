"""The tables of docs/benchmarks.md, out of stored results. A figure that is not there shows as a dash."""

from support import frontier

NONE = "–"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def device(result: dict) -> str:
    """What a result was taken on."""
    return result["machine"]["gpu"] if result.get("device") == "cuda" else "CPU"


def seconds(summary: dict | None) -> str:
    """Median and spread."""
    if not summary:
        return NONE
    return f"{summary['median_s']:.3g} s ({summary['min_s']:.3g}–{summary['max_s']:.3g})"


def ratio(row: dict, name: str) -> str:
    """A ratio, in bold where it exceeds its limit, with the limit."""
    if name not in row:
        return NONE
    limit = row.get("limits", {}).get(name)
    if limit is None:
        return f"{row[name]:.2f}"
    value = f"{row[name]:.2f} (≤ {limit:.2f})"
    return value if row[name] <= limit else f"**{value}**"


def forward(results: list[dict], peer: str) -> str:
    rows = []
    for result in results:
        for row in result["rows"]:
            errors = ", ".join(f"{name} {value:.1e}" for name, value in row["relative_l2"].items())
            rows.append([row["model"], f"{row['latent']}x{row['latent']}", str(row["batch"]), row["dtype"],
                         seconds(row["native"]), seconds(row["host"]), seconds(row.get(peer)),
                         seconds(row.get("floor")), ratio(row, "native_over_host"), ratio(row, f"native_over_{peer}"),
                         ratio(row, "native_over_floor"), errors])
    return table(["model", "latent", "batch", "dtype", "native", "host", peer, "floor", "native / host",
                  f"native / {peer}", "native / floor", "relative L2 to the host"], rows)


def start(result: dict) -> str:
    rows = [[row["unet"], f"{row['host_ms']:.0f}", f"{row['ours_ms']:.0f}", f"{row['added_ms']:.0f}"]
            for row in result["rows"]]
    return table(["UNet", "host alone, ms", "with the pack, ms", "added, ms"], rows)


def kinds(result: dict) -> str:
    rows = [[row["kind"], f"{row['seconds'] * 1e3:.1f}", f"{row['share_of_time']:.1%}", f"{row['macs'] / 1e9:.1f}",
             f"{row['gflops']:.0f}" if row["macs"] else NONE, f"{row['floor_share']:.0%}" if row["macs"] else NONE]
            for row in result["kinds"]]
    return table(["part", "ms", "share of time", "GMACs", "GFLOP/s", "share of the floor"], rows)


def slowest(result: dict, count: int = 10) -> str:
    """Units of transformers and layers besides those that lose most time to the floor."""
    whole = {"unit": (".attn1", ".attn2", ".ff"), "layer": (".res", ".res0", ".res1", ".conv", ".down", ".up")}
    inner = [row for row in result["rows"] if row["address"].endswith(whole.get(row["level"], ()))]
    lost = sorted(inner, key=lambda row: -row["seconds"] * (1 - row["floor_share"]))[:count]
    rows = [[f"`{row['address']}`", f"{row['seconds'] * 1e3:.1f}", f"{row['gflops']:.0f}", f"{row['floor_share']:.0%}",
             f"{row['seconds'] * (1 - row['floor_share']) * 1e3:.1f}"] for row in lost]
    return table(["address", "ms", "GFLOP/s", "share of the floor", "ms above the floor"], rows)


def scale(result: dict) -> str:
    rows = []
    for row in result["rows"]:
        native, host = row["native"], row["host"]
        rows.append([row["curve"], str(row["value"]), f"{row['latent']}x{row['latent']}", str(row["batch"]),
                     str(row["threads"]), seconds(native), seconds(host), f"{native['seconds_per_pixel'] * 1e6:.0f}",
                     f"{native['peak_rss_bytes'] / 2**30:.1f}", f"{host['peak_rss_bytes'] / 2**30:.1f}",
                     f"{1 / row['native_over_host']:.2f}"])
    return table(["curve", "value", "latent", "batch", "threads", "native", "host", "native, µs a latent pixel",
                  "native, GiB", "host, GiB", "speed-up"], rows)


def exponents(result: dict) -> str:
    rows = [[curve, f"{found['native']:.2f}", f"{found['host']:.2f}", "yes" if found["holds"] else "**no**"]
            for curve, found in result["exponents"].items()]
    return table(["curve", "exponent of the native time", "of the host's", "holds"], rows)


def peers(result: dict) -> str:
    rows = []
    for row in result["rows"]:
        case = [row["peer"], f"{row.get('version', NONE)}", row["dtype"], f"{row['latent']}x{row['latent']}"]
        if row["peer"] == "deepcache":
            words = (f"speed-up over its own UNet {row['deepcache_speedup']:.2f}, ours over the native engine "
                     f"{row['our_speedup']:.2f}; {row['steps']} steps {seconds(row['deepcache'])}, ours "
                     f"{seconds(row['inheriting'])}")
            rows.append([*case, words])
        else:
            peer = row["peer"]
            rows.append([*case, f"{seconds(row[peer])}, native {seconds(row['native'])}: native / peer "
                         f"{row[f'native_over_{peer}']:.2f}"])
    return table(["peer", "version", "dtype", "latent", "figures"], rows)


def inheritance(results: list[dict]) -> str:
    rows, notes = [], []
    for result in results:
        case = [device(result), result["dtype"], str(result["steps"])]
        rows += [[level, *case, f"{figures['speedup']:.2f}", f"{figures['predicted_speedup']:.2f}"]
                 for level, figures in (("block", result), ("layer", result["layer"]))]
        exact = "yes" if result["interval_1_bit_for_bit"] else "**no**"
        costs = f", bookkeeping {result['bookkeeping_share']:.2%} of a forward" if "bookkeeping_share" in result else ""
        notes.append(f"{device(result)}: interval 1 bit for bit: {exact}{costs}.")
    return "\n\n".join([table(["level", "device", "dtype", "steps", "speed-up", "predicted by MACs"], rows), *notes])


def reused(results: list[dict]) -> str:
    rows = [[result["dtype"], f"{row['latent']}x{row['latent']}", "inherited" if row["inherits"] else "full",
             {"prompts": "keys and values of the prompt", "sums": "sums of held features"}[row["way"]],
             seconds(row), f"{row['ratio']:.3f}", f"{row['relative_l2']:.1e}"]
            for result in results for row in result["rows"] if row["way"] != "anew"]
    return table(["dtype", "latent", "call", "reused", "time", "over a call without", "relative L2 to it"], rows)


def host_leaf(result: dict) -> str:
    def microseconds(value: float) -> str:
        return f"{value * 1e6:.1f}"

    over = microseconds(result["over_host_s"])
    row = [microseconds(result["host_s"]), microseconds(result["native_s"]), over if result["holds"] else f"**{over}**",
           microseconds(result["limit_s"])]
    return table(["in the host's forward, us", "in the engine, us", "more, us", "at most, us"], [row])


def me_cond_conv(results: list[dict]) -> str:
    rows = []
    for result in results:
        for row in result["rows"]:
            cost = f"{row['cost']:.1%}"
            rows.append([result["dtype"], f"{row['channels']} channels, {row['size']}x{row['size']}",
                         str(result["experts"]), f"{row['convolution_ms']:.1f}",
                         cost if row["cost"] <= result["limit"] else f"**{cost}**"])
    return table(["dtype", "convolution", "experts", "plain, ms", "more time than plain"], rows)


def assembled(result: dict) -> str:
    rows = [[f"`{row['preset']}`", seconds(row), f"{row['gmacs']:.0f}", f"{row['speedup']:.2f}",
             f"{row['arithmetic']:.2f}"] for row in result["rows"]]
    return table(["UNet", "a forward", "GMACs", "speed-up", "predicted by MACs"], rows)


def distilled(result: dict) -> str:
    rows = [[row["model"].replace("_", " "), f"{row['loss']:.4f}", f"{row['gap_recovered']:.0%}",
             f"{row['psnr_db']:.2f}", f"{row['ssim']:.4f}", f"{row['speedup']:.2f}"] for row in result["rows"]]
    return table(["UNet", "loss", "gap recovered", "PSNR, dB", "SSIM", "speed-up"], rows)


_RULERS = {"seeds_db": "two seeds of one prompt", "steps_db": "20 and 40 steps of euler",
           "samplers_db": "euler and dpmpp_2m", "nearest_scene_db": "a sample and the nearest scene of the training"}


def testbed(result: dict) -> str:
    """How far apart pictures of the model of scenes are, and what is recognised in them."""
    def row(name: str, words: str, value: str) -> list[str]:
        return [words, value if result["each_holds"][name] else f"**{value}**"]

    rows = [row(name, words, f"{result[name]:.1f} dB (≤ {result['limits'][name]:g})")
            for name, words in _RULERS.items()]
    rows.append(row("recognised", "samples in which all named objects are recognised",
                    f"{result['recognised']:.0%} (≥ {result['limits']['recognised']:.0%})"))
    rows.append(["the same of painted scenes behind the autoencoder",
                 f"{result['through_the_autoencoder']['recognised']:.0%}"])
    return table(["pair, or share", "seen"], rows)


def load(result: dict) -> str:
    rows = [[name, seconds(result[name]), f"{result[name]['peak_over_weights']:.2f}"] for name in ("native", "host")]
    return table(["loader", "time", "peak memory / weights"], rows)


def stack(result: dict) -> str:
    rows = [[one["name"], seconds(one), f"{one['speedup']:.2f}", f"{one['psnr']:.1f}" if "psnr" in one else NONE,
             f"{one['ssim']:.4f}" if "ssim" in one else NONE] for one in result["stacks"]]
    return table(["stack", "a run", "speed-up", "PSNR, dB", "SSIM"],
                 [["the host's UNet", seconds(result["host"]), "1.00", NONE, NONE], *rows])


def switch(result: dict) -> str:
    """The speed of one switched run, then the closeness of pictures by share."""
    speed = table(["dtype", "steps", "late UNet alone", "switched", "speed-up", "predicted by MACs"], [[
        result["dtype"], str(result["steps"]), seconds(result["late"]), seconds(result["switched"]),
        f"{result['speedup']:.2f}", f"{result['arithmetic']:.2f}"]])
    curve = table(["`switch_percent`", "PSNR, dB", "SSIM"],
                  [[str(row["switch_percent"]), f"{row['psnr']:.2f}", f"{row['ssim']:.4f}"]
                   for row in result["curve"]["rows"]])
    return "\n\n".join([speed, curve])


def parity(results: list[dict]) -> str:
    rows = [[device(result), result["width"], kind, f"{value:.1e}", "yes" if result["holds"] else "**no**"]
            for result in results for kind, value in result["worst"].items()]
    return table(["device", "width", "what", "worst relative L2", "holds"], rows)


def quality_gains(result: dict) -> str:
    """Ours against the best peer at equal speed, by condition."""
    speeds = list(result["psnr_gain_db"])

    def cell(found: dict | None) -> str:
        if found is None:
            return NONE
        return f"{found['gain_db']:+.1f} ({found['ours_db']:.1f}; {found['best_peer']} {found['peer_db']:.1f})"
    rows = [[row["condition"], *(cell(row[speed]) for speed in speeds)] for row in result["gains"]]
    means = [NONE if result["psnr_gain_db"][speed] is None else f"{result['psnr_gain_db'][speed]:+.1f}"
             for speed in speeds]
    return table(["condition", *(f"gain at {speed}x, dB" for speed in speeds)], [*rows, ["**mean**", *means]])


def tried(result: dict) -> str:
    """Speed-up, PSNR and what lacks to the frontier, condition beside condition; the closest to it first."""
    by_label = {}
    for row in result["rows"]:
        if row["tried"]:
            by_label.setdefault(row["label"], {})[row["condition"]] = row
    conditions = list(dict.fromkeys(row["condition"] for row in result["rows"]))

    def cell(row: dict) -> str:
        distance = f"{row['behind_db']:.1f} below" if row["behind_db"] >= 0.05 else "on it"
        return f"{row['speedup']:.2f}x, {row['psnr']:.1f} ({distance})"
    nearest = sorted(by_label.items(), key=lambda item: sum(row["behind_db"] for row in item[1].values()))
    rows = [[label, *(cell(found[condition]) for condition in conditions)] for label, found in nearest]
    return table(["setting", *(f"{condition}: speed-up, dB (to the frontier)" for condition in conditions)], rows)


def calibrated(result: dict) -> str:
    rows = [[row["model"], row["condition"], row["target"], f"{row['work']:.2f}x", f"{row['psnr']:.1f}",
             f"{row['speed_work']:.2f}x", f"{row['speed_psnr']:.1f}", f"{row['gain_db']:+.1f}", str(row["runs"])]
            for row in result["rows"]]
    return table(["model", "condition", "target", "times less work", "dB", "times less by the dial", "dB of the dial",
                  "gain, dB", "runs"], rows)


def quality_settings(cells: list[dict]) -> str:
    """Every setting: means over the conditions that it was measured in, and in how many of them it stands on the
    frontier of all methods."""
    on_frontier = frontier.standing(cells)
    by_setting = {}
    for cell in cells:
        by_setting.setdefault((cell["method"], cell["label"]), []).append(cell)

    def mean(of_setting: list[dict], name: str) -> float:
        return sum(cell[name] for cell in of_setting) / len(of_setting)
    rows = [[method, label, f"{mean(found, 'speedup'):.2f}", f"{mean(found, 'psnr'):.2f}", f"{mean(found, 'ssim'):.4f}",
             f"{on_frontier[method, label]} of {len(found)}"] for (method, label), found in by_setting.items()]
    return table(["method", "setting", "speed-up", "PSNR, dB", "SSIM", "on the frontier"], rows)
