// Layout: 8 bytes little-endian header length N, N bytes of JSON, then the tensors' bytes.
#include "native/format/safetensors.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "native/base/error.h"
#include "native/format/strict_json.h"

namespace asdm {
namespace {

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kRecognizedBytes = 32;           // by which files of other kinds are known
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own reader
constexpr std::string_view kMetadataKey = "__metadata__";

uint64_t read_length(const std::string& bytes) {
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return length;
}

/// What a file that is no safetensors file most likely is, for the message.
std::string guess_format(std::string_view bytes) {
  for (const std::string_view pickle : {"PK\x03\x04", "\x80\x02", "\x80\x03", "\x80\x04"}) {
    if (bytes.starts_with(pickle)) {
      return "a pickle checkpoint (.ckpt, .pt, .bin), which can run code when it is loaded; convert it to safetensors";
    }
  }
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kOthers = {{
      {"GGUF", "a GGUF file"},
      {"version https://git-lfs", "a Git LFS pointer, which stands for a file that was not fetched: run git lfs pull"},
      {"<!DOCTYPE", "a web page, which a download gave in place of the file"},
      {"<!doctype", "a web page, which a download gave in place of the file"},
      {"<html", "a web page, which a download gave in place of the file"},
      {"\x1f\x8b", "a gzip archive"},
  }};
  for (const auto& [start, what] : kOthers) {
    if (bytes.starts_with(start)) {
      return std::string(what);
    }
  }
  return "";
}

/// A file's size, and bytes out of it.
class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    const std::filesystem::file_status status = std::filesystem::status(path);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      throw invalid_input(path, "a regular file",
                          std::filesystem::is_directory(status) ? "a folder" : "something else");
    }
    stream_.open(path, std::ios::binary | std::ios::ate);
    if (!stream_) {
      throw invalid_input(path, "a readable file", std::generic_category().message(errno));
    }
    size_ = stream_.tellg();
  }

  [[nodiscard]] int64_t size() const { return size_; }

  /// Throws Error where the file ends before.
  std::string read(int64_t begin, int64_t count) {
    std::string bytes(static_cast<size_t>(count), '\0');
    stream_.seekg(begin);
    stream_.read(bytes.data(), count);
    if (stream_.gcount() != count) {
      throw invalid_input(path_, std::to_string(count) + " bytes at " + std::to_string(begin),
                          std::to_string(stream_.gcount()) + "; the file was cut short");
    }
    return bytes;
  }

 private:
  const std::string& path_;
  std::ifstream stream_;
  int64_t size_ = 0;
};

/// The header's text. Compares the length with the file before anything is allocated.
std::string header_text(const std::string& path, File& file) {
  const std::string start = file.read(0, std::min(file.size(), kRecognizedBytes));
  const std::string foreign = guess_format(start);
  const auto refuse = [&](const std::string& fault) {
    return invalid_input(path, "a safetensors file", foreign.empty() ? fault : foreign);
  };
  if (file.size() < kLengthBytes) {
    throw refuse("a file of " + std::to_string(file.size()) + " bytes, too short for a header length");
  }
  const uint64_t length = read_length(start);
  if (length > kMaxHeaderBytes) {
    throw refuse("a header length of " + std::to_string(length) + " bytes, above the format's limit of " +
                 std::to_string(kMaxHeaderBytes));
  }
  if (length > static_cast<uint64_t>(file.size() - kLengthBytes)) {
    throw refuse("a truncated file: the header claims " + std::to_string(length) + " bytes, the file has " +
                 std::to_string(file.size() - kLengthBytes) + " after the length");
  }
  std::string text = file.read(kLengthBytes, static_cast<int64_t>(length));
  if (!text.starts_with('{')) {
    throw refuse("a header that does not start with '{'");
  }
  return text;
}

std::map<std::string, std::string> read_metadata(const nlohmann::json& json, const std::string& where) {
  if (!json.is_object()) {
    throw invalid_input(where, "an object of strings", describe_json(json));
  }
  std::map<std::string, std::string> metadata;
  for (const auto& item : json.items()) {
    if (!item.value().is_string()) {
      throw invalid_input(where + "." + item.key(), "a string", describe_json(item.value()));
    }
    metadata[item.key()] = item.value().get<std::string>();
  }
  return metadata;
}

/// A list of non-negative integers that fit int64.
std::vector<int64_t> read_naturals(const nlohmann::json& json, const std::string& where) {
  if (!json.is_array()) {
    throw invalid_input(where, "a list of integers", describe_json(json));
  }
  std::vector<int64_t> values;
  for (const nlohmann::json& item : json) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > uint64_t{INT64_MAX}) {
      throw invalid_input(where, "integers of 0 or more", describe_json(item));
    }
    values.push_back(item.get<int64_t>());
  }
  return values;
}

/// One entry of the header, in a file with `data_bytes` behind it.
TensorEntry read_entry(const std::string& name, const nlohmann::json& json, const std::string& path,
                       int64_t data_bytes) {
  const std::string where = path + ": tensor '" + name + "'";
  if (!json.is_object() || !json.contains("shape") || !json.contains("data_offsets")) {
    throw invalid_input(where, "an object of dtype, shape and data_offsets",
                        json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).substr(0, 200));
  }
  const std::vector<int64_t> shape = read_naturals(json.at("shape"), where + ".shape");
  const std::vector<int64_t> offsets = read_naturals(json.at("data_offsets"), where + ".data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    throw invalid_input(where + ".data_offsets", "[begin, end] with begin <= end", json.at("data_offsets").dump());
  }
  if (offsets[1] > data_bytes) {
    throw invalid_input(where + ".data_offsets",
                        "an end within the " + std::to_string(data_bytes) + " data bytes of the file",
                        std::to_string(offsets[1]) + " (a truncated file?)");
  }
  return {name, shape, offsets[0], offsets[1]};
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  SafetensorsFile result;
  result.path_ = path;
  File file(path);
  const std::string text = header_text(path, file);
  result.data_begin_ = kLengthBytes + static_cast<int64_t>(text.size());
  const int64_t data_bytes = file.size() - result.data_begin_;
  const nlohmann::json header = parse_json_object(text, path + ": header");
  for (const auto& item : header.items()) {
    if (item.key() == kMetadataKey) {
      result.metadata_ = read_metadata(item.value(), path + ": " + std::string(kMetadataKey));
    } else {
      result.tensors_.push_back(read_entry(item.key(), item.value(), path, data_bytes));
    }
  }
  return result;
}

std::string SafetensorsFile::read(const TensorEntry& tensor) const {
  return File(path_).read(data_begin_ + tensor.begin, tensor.end - tensor.begin);
}

}  // namespace asdm
