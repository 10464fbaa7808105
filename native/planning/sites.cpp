#include "native/planning/sites.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>

#include "native/base/nearest_name.h"
#include "native/base/words.h"
#include "native/planning/liveness.h"

namespace asdm {
namespace {

constexpr std::string_view kAutomatic = "auto";
constexpr std::string_view kOutputForm = ":output";
constexpr std::string_view kBlanks = " \t\r\n";
/// No address is as long, and no list of them: names and patterns come from files that nobody vouches for.
constexpr size_t kMaxWord = 200;
constexpr size_t kMaxText = 100'000;
constexpr std::string_view kPhasesWanted = "phases such as '0-0.5: out.10; 0.5-1: out.8', rising shares of the window";

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

/// Whether `pattern` stands for `address`: * for any characters but a dot, ? for one such character. Only the last * is
/// ever tried anew, so that the work is no more than the product of both lengths.
bool matches(std::string_view pattern, std::string_view address) {
  size_t at = 0;
  size_t star = std::string_view::npos;  // in `pattern`, and what follows it began to match at `from`
  size_t from = 0;
  for (size_t i = 0; i < address.size() || at < pattern.size();) {
    const char wanted = at < pattern.size() ? pattern[at] : '\0';
    if (wanted == '*') {
      star = at++;
      from = i;
    } else if (i < address.size() && (wanted == address[i] || (wanted == '?' && address[i] != '.'))) {
      star = wanted == '.' ? std::string_view::npos : star;  // no * reaches behind a dot
      ++at;
      ++i;
    } else if (star != std::string_view::npos && from < address.size() && address[from] != '.') {
      at = star + 1;
      i = ++from;
    } else {
      return false;
    }
  }
  return true;
}

/// Reads the sites of one phase.
class Reader {
 public:
  Reader(const Topology& topology, const UNetSpec& spec, SiteLevel level)
      : topology_(topology), spec_(spec), level_(level), presets_(preset_site_names()) {
    for (NodeId id = 0; id < static_cast<NodeId>(topology.nodes.size()); ++id) {
      by_address_.emplace(topology.node(id).address, id);
    }
  }

  /// Sites in evaluation order; layers that were asked for as outputs go to `whole_outputs`.
  std::vector<NodeId> read(std::string_view text, ResolvedSites& resolved) {
    const std::vector<std::string> given = words_of(text);
    const std::set<std::string> words(given.begin(), given.end());
    if (words.empty()) {
      throw no_site("");
    }
    if (words.contains(std::string(kAutomatic))) {
      if (given.size() > 1) {
        throw invalid_input("sites", "auto alone, or addresses and presets without it", in_quotes(text));
      }
      return named(kAutomatic, automatic_sites(topology_, spec_, level_));
    }
    std::set<NodeId> sites;
    for (const std::string& word : words) {
      add(word, sites, resolved.whole_outputs);
    }
    return {sites.begin(), sites.end()};
  }

 private:
  void add(const std::string& word, std::set<NodeId>& sites, std::set<NodeId>& whole_outputs) {
    const bool by_output = word.ends_with(kOutputForm);
    const std::string name = by_output ? word.substr(0, word.size() - kOutputForm.size()) : word;
    if (word.size() > kMaxWord) {
      throw invalid_input("sites", "names of at most " + std::to_string(kMaxWord) + " characters", in_quotes(word));
    }
    const std::vector<NodeId> found = nodes_of(name, word);
    for (const NodeId node : found) {
      if (by_output && topology_.node(node).kind != NodeKind::kLayer) {
        throw invalid_input("sites", "a layer before ':output', such as " + example(NodeKind::kLayer), in_quotes(word));
      }
      const bool other_form = by_output ? asked_by_delta_.contains(node) : whole_outputs.contains(node);
      if (other_form && topology_.node(node).kind == NodeKind::kLayer) {
        throw both_forms("sites", topology_, node);
      }
      (by_output ? whole_outputs : asked_by_delta_).insert(node);
      sites.insert(node);
    }
  }

  /// What one `name`, the word without its suffix, stands for.
  std::vector<NodeId> nodes_of(const std::string& name, const std::string& word) const {
    if (std::find(presets_.begin(), presets_.end(), name) != presets_.end()) {
      return named(name, preset_sites(topology_, spec_, name));
    }
    std::vector<NodeId> found;
    if (const auto known = by_address_.find(name); known != by_address_.end()) {
      found.push_back(known->second);
    } else if (name.find_first_of("*?") != std::string::npos) {
      for (NodeId id = 0; id < static_cast<NodeId>(topology_.nodes.size()); ++id) {
        if (topology_.node(id).block >= 0 && id != topology_.whole() - 1 && matches(name, topology_.node(id).address)) {
          found.push_back(id);
        }
      }
    }
    if (found.empty()) {
      throw no_site(word);
    }
    if (found.front() == topology_.whole() - 1) {
      throw invalid_input("sites", "a block before the last one, whose value is the whole UNet's: that is 'out'",
                          in_quotes(word));
    }
    return found;
  }

  static std::vector<NodeId> named(std::string_view name, std::vector<NodeId> nodes) {
    if (nodes.empty()) {
      throw invalid_input("sites", "parts that this UNet has", in_quotes(name) + ", of which it has none");
    }
    return nodes;
  }

  /// Some address of that kind.
  [[nodiscard]] std::string example(NodeKind kind) const {
    const auto found = std::find_if(topology_.nodes.rbegin(), topology_.nodes.rend(),
                                    [&](const Node& node) { return node.kind == kind; });
    return found->address;
  }

  /// The error for a `word` that names no site; says more where it names another part of this UNet.
  [[nodiscard]] Error no_site(const std::string& word) const {
    const auto inside = std::find_if(topology_.nodes.begin(), topology_.nodes.end(), [&](const Node& node) {
      return node.kind == NodeKind::kUnit && node.address.starts_with(word + ".");
    });
    if (!word.empty() && inside != topology_.nodes.end()) {
      return invalid_input("sites", "a block, a layer, or a unit such as " + inside->address, in_quotes(word));
    }
    std::vector<std::string> choices = {std::string(kAutomatic)};
    const auto append = [&](const std::vector<std::string>& names) {
      choices.insert(choices.end(), names.begin(), names.end());
    };
    append(preset_site_names());
    append({"out", "guidance", "control"});
    append(site_names(topology_));
    append({"layers such as " + example(NodeKind::kLayer), "units such as " + example(NodeKind::kUnit)});
    std::vector<std::string> known = all_addresses(topology_);
    known.insert(known.end(), choices.begin(), choices.end());
    return unknown_name_near("sites", word, choices, nearest_name(word, known));
  }

  const Topology& topology_;
  const UNetSpec& spec_;
  SiteLevel level_;
  std::vector<std::string> presets_;
  std::unordered_map<std::string_view, NodeId> by_address_;
  std::set<NodeId> asked_by_delta_;
};

/// "0.5" at the start of `text`, which loses it.
double take_share(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  double share = -1.0;
  const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), share);
  text.remove_prefix(static_cast<size_t>(rest - text.data()));
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return fault == std::errc{} ? share : -1.0;
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) {
    return false;
  }
  text.remove_prefix(1);
  return true;
}

/// "0-0.5: out.8" as a phase without its sites; `text` keeps these.
SitePhase take_phase(std::string_view& text, double from) {
  const std::string_view whole = text;
  SitePhase phase;
  phase.start = take_share(text);
  const bool dashed = take(text, '-');
  phase.end = take_share(text);
  if (!dashed || !take(text, ':') || !(phase.start >= from && phase.end > phase.start && phase.end <= 1.0)) {
    throw invalid_input("sites", kPhasesWanted, in_quotes(whole));
  }
  return phase;
}

bool is_phased(std::string_view text) {
  if (text.find(';') != std::string_view::npos) {
    return true;
  }
  return take_share(text) >= 0.0 && text.starts_with('-');
}

}  // namespace

void drop_dead_sites(const Topology& topology, ResolvedSites& resolved) {
  for (SitePhase& phase : resolved.phases) {
    const std::set<NodeId> sites(phase.sites.begin(), phase.sites.end());
    const std::vector<NodeId> live = live_nodes(topology, sites, resolved.whole_outputs).inherited;
    std::erase_if(phase.sites, [&](NodeId site) { return std::find(live.begin(), live.end(), site) == live.end(); });
  }
}

Error both_forms(std::string_view where, const Topology& topology, NodeId layer) {
  return invalid_input(where, "one form of " + topology.node(layer).address + ", with ':output' or without", "both");
}

std::vector<std::string> site_names(const Topology& topology) {
  std::vector<std::string> names;
  for (size_t i = 0; i + 1 < topology.blocks.size(); ++i) {
    names.push_back(topology.blocks[i].address);
  }
  return names;
}

ResolvedSites resolve_sites(const Topology& topology, const UNetSpec& spec, SiteLevel level, std::string_view text) {
  if (text.size() > kMaxText) {
    throw invalid_input("sites", "at most " + std::to_string(kMaxText) + " characters", std::to_string(text.size()));
  }
  ResolvedSites resolved;
  resolved.phased = is_phased(text);
  resolved.automatic = words_of(text) == std::vector<std::string>{std::string(kAutomatic)};
  Reader reader(topology, spec, level);
  if (!resolved.phased) {
    resolved.phases.push_back({.sites = reader.read(text, resolved)});
  }
  double from = 0.0;
  for (const std::string& part : resolved.phased ? words_of(text, ";") : std::vector<std::string>()) {
    if (part.find_first_not_of(kBlanks) == std::string::npos) {
      continue;
    }
    std::string_view rest = part;
    SitePhase phase = take_phase(rest, from);
    from = phase.end;
    phase.sites = reader.read(rest, resolved);
    resolved.phases.push_back(std::move(phase));
  }
  if (resolved.phases.empty()) {
    throw invalid_input("sites", kPhasesWanted, in_quotes(text));
  }
  return resolved;
}

std::vector<std::string> site_texts(const Topology& topology, const std::vector<NodeId>& sites,
                                    const std::set<NodeId>& whole_outputs) {
  std::vector<std::string> texts;
  texts.reserve(sites.size());
  for (const NodeId site : sites) {
    texts.push_back(topology.node(site).address +
                    (whole_outputs.contains(site) ? std::string(kOutputForm) : std::string()));
  }
  return texts;
}

}  // namespace asdm
