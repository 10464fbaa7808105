#include "native/base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <utility>

namespace asdm::log {
namespace {

Level from_spdlog(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return Level::kDebug;
    case spdlog::level::info:
      return Level::kInfo;
    case spdlog::level::warn:
      return Level::kWarning;
    default:
      return Level::kError;
  }
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

/// Hands messages to a std::function. No mutex of spdlog's around it: the Python sink takes the GIL, and a lock
/// held while waiting for the GIL would deadlock with a Python thread that logs.
class FunctionSink final : public spdlog::sinks::sink {
 public:
  explicit FunctionSink(Sink function) : function_(std::move(function)) {}
  void log(const spdlog::details::log_msg& msg) override {
    function_(from_spdlog(msg.level), std::string_view(msg.payload.data(), msg.payload.size()));
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  Sink function_;
};

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink) {
  return std::make_shared<spdlog::logger>("asdm", std::move(sink));
}

std::mutex& logger_mutex() {
  static std::mutex mutex;
  return mutex;
}

std::shared_ptr<spdlog::logger>& logger_slot() {
  static std::shared_ptr<spdlog::logger> logger = make_logger(std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  return logger;
}

std::shared_ptr<spdlog::logger> logger() {
  const std::lock_guard lock(logger_mutex());
  return logger_slot();
}

}  // namespace

void set_sink(Sink sink) {
  spdlog::sink_ptr target;
  if (sink) {
    target = std::make_shared<FunctionSink>(std::move(sink));
  } else {
    target = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  }
  const std::lock_guard lock(logger_mutex());
  const spdlog::level::level_enum level = logger_slot()->level();
  logger_slot() = make_logger(std::move(target));
  logger_slot()->set_level(level);
}

void set_level(Level level) { logger()->set_level(to_spdlog(level)); }

bool is_on(Level level) { return logger()->should_log(to_spdlog(level)); }

void write(Level level, std::string_view message) {
  logger()->log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace asdm::log
