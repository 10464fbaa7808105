// The logging facade. spdlog stays behind log.cpp: its fmt and torch's bundled fmt do not mix in one translation unit.
#pragma once

#include <functional>
#include <string_view>

namespace asdm::log {

enum class Level { kDebug, kInfo, kWarning, kError };

/// Receives every message instead of stderr; the Python binding forwards to `logging` with it.
using Sink = std::function<void(Level, std::string_view)>;

/// Routes all messages to `sink`; an empty sink restores stderr.
void set_sink(Sink sink);

/// Messages below `level` are dropped before anybody formats them; at the start those below kInfo.
void set_level(Level level);
[[nodiscard]] bool is_on(Level level);

void write(Level level, std::string_view message);
inline void debug(std::string_view message) { write(Level::kDebug, message); }
inline void warning(std::string_view message) { write(Level::kWarning, message); }

}  // namespace asdm::log
