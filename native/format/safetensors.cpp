// Layout: 8 bytes little-endian header length N, N bytes of JSON, then the tensors' bytes.
#include "native/format/safetensors.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "native/base/error.h"
#include "native/format/strict_json.h"

namespace asdm {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own reader
constexpr std::string_view kMetadataKey = "__metadata__";

struct DTypeRow {
  DType dtype;
  std::string_view name;
  int64_t size;
};

constexpr std::array<DTypeRow, 17> kDTypes = {{
    {DType::kBool, "BOOL", 1},       {DType::kU8, "U8", 1},           {DType::kI8, "I8", 1},
    {DType::kF8E4M3, "F8_E4M3", 1},  {DType::kF8E5M2, "F8_E5M2", 1},  {DType::kF8E8M0, "F8_E8M0", 1},
    {DType::kI16, "I16", 2},         {DType::kU16, "U16", 2},         {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2},       {DType::kI32, "I32", 4},         {DType::kU32, "U32", 4},
    {DType::kF32, "F32", 4},         {DType::kI64, "I64", 8},         {DType::kU64, "U64", 8},
    {DType::kF64, "F64", 8},         {DType::kC64, "C64", 8},
}};

const DTypeRow& row_of(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) {
      return row;
    }
  }
  throw internal_fault("safetensors", "a dtype without a row in the table");
}

DType dtype_from_name(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const DTypeRow& row : kDTypes) {
    if (row.name == name) {
      return row.dtype;
    }
    known.emplace_back(row.name);
  }
  throw unknown_name(where + ".dtype", name, known);
}

uint64_t read_length(std::span<const std::byte> bytes) {
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  }
  return length;
}

/// What a file that is no safetensors file most likely is, for the message.
std::string guess_format(std::span<const std::byte> bytes) {
  const auto starts_with = [&](std::string_view magic) {
    return bytes.size() >= magic.size() &&
           std::equal(magic.begin(), magic.end(), bytes.begin(),
                      [](char c, std::byte b) { return static_cast<unsigned char>(c) == std::to_integer<int>(b); });
  };
  if (starts_with("PK\x03\x04") || starts_with("\x80\x02") || starts_with("\x80\x03") || starts_with("\x80\x04")) {
    return "a pickle checkpoint (.ckpt, .pt, .bin), which can run code when it is loaded; convert it to safetensors";
  }
  if (starts_with("GGUF")) {
    return "a GGUF file";
  }
  return "";
}

/// The header's text. Compares the length with the file before anything is allocated.
std::string_view header_text(const std::string& path, std::span<const std::byte> bytes) {
  const std::string foreign = guess_format(bytes);
  const auto refuse = [&](const std::string& fault) {
    return invalid_input(path, "a safetensors file", foreign.empty() ? fault : foreign);
  };
  if (bytes.size() < kLengthBytes) {
    throw refuse("a file of " + std::to_string(bytes.size()) + " bytes, too short for a header length");
  }
  const uint64_t length = read_length(bytes);
  if (length > kMaxHeaderBytes) {
    throw refuse("a header length of " + std::to_string(length) + " bytes, above the format's limit of " +
                 std::to_string(kMaxHeaderBytes));
  }
  if (length > bytes.size() - kLengthBytes) {
    throw refuse("a truncated file: the header claims " + std::to_string(length) + " bytes, the file has " +
                 std::to_string(bytes.size() - kLengthBytes) + " after the length");
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  if (text.empty() || text.front() != '{') {
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

/// Bytes of a tensor of `shape`; empty where the product does not fit int64.
std::optional<int64_t> byte_count(const std::vector<int64_t>& shape, int64_t element_size) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    return 0;
  }
  int64_t count = element_size;
  for (const int64_t extent : shape) {
    if (__builtin_mul_overflow(count, extent, &count)) {
      return std::nullopt;
    }
  }
  return count;
}

/// One entry of the header; `data` is the part of the file behind the header.
TensorView read_tensor(const std::string& name, const nlohmann::json& json, const std::string& path,
                       std::span<const std::byte> data) {
  const std::string where = path + ": tensor '" + name + "'";
  if (!json.is_object() || json.size() != 3 || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets") || !json.at("dtype").is_string()) {
    throw invalid_input(where, "an object of dtype (a string), shape and data_offsets",
                        json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).substr(0, 200));
  }
  TensorView view;
  view.name = name;
  view.dtype = dtype_from_name(json.at("dtype").get<std::string>(), where);
  view.shape = read_naturals(json.at("shape"), where + ".shape");
  const std::vector<int64_t> offsets = read_naturals(json.at("data_offsets"), where + ".data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    throw invalid_input(where + ".data_offsets", "[begin, end] with begin <= end", json.at("data_offsets").dump());
  }
  if (static_cast<uint64_t>(offsets[1]) > data.size()) {
    throw invalid_input(where + ".data_offsets",
                        "an end within the " + std::to_string(data.size()) + " data bytes of the file",
                        std::to_string(offsets[1]) + " (a truncated file?)");
  }
  const std::optional<int64_t> needed = byte_count(view.shape, size_of(view.dtype));
  if (needed != offsets[1] - offsets[0]) {
    throw invalid_input(where,
                        (needed ? std::to_string(*needed) : "more than 2^63") + " bytes for shape " +
                            json.at("shape").dump() + " of " + std::string(to_string(view.dtype)),
                        std::to_string(offsets[1] - offsets[0]) + " bytes in data_offsets");
  }
  view.bytes = data.subspan(static_cast<size_t>(offsets[0]), static_cast<size_t>(*needed));
  return view;
}

/// Sorts by position and refuses overlap, gap and trailing bytes: the format forbids all three, and each of them means
/// that some tensor is not what its writer meant.
void check_coverage(std::vector<TensorView>& tensors, const std::string& path, std::span<const std::byte> data) {
  const auto begin_of = [&](const TensorView& view) { return view.bytes.data() - data.data(); };
  std::sort(tensors.begin(), tensors.end(), [&](const TensorView& a, const TensorView& b) {
    return std::pair(begin_of(a), a.bytes.size()) < std::pair(begin_of(b), b.bytes.size());
  });
  int64_t end = 0;
  for (const TensorView& view : tensors) {
    if (begin_of(view) != end) {
      throw invalid_input(path + ": tensor '" + view.name + "'",
                          "data_offsets that begin at " + std::to_string(end) + ", where the tensor before it ends",
                          std::to_string(begin_of(view)) + (begin_of(view) < end ? " (overlap)" : " (gap)"));
    }
    end += static_cast<int64_t>(view.bytes.size());
  }
  if (static_cast<uint64_t>(end) != data.size()) {
    throw invalid_input(path, std::to_string(end) + " data bytes, as its tensors have",
                        std::to_string(data.size()) + " in the file");
  }
}

}  // namespace

std::string_view to_string(DType dtype) { return row_of(dtype).name; }

int64_t size_of(DType dtype) { return row_of(dtype).size; }

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  SafetensorsFile file;
  file.path_ = path;
  file.mapping_ = MappedFile::open(path);
  const std::span<const std::byte> bytes = file.mapping_->bytes();
  const std::string_view text = header_text(path, bytes);
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + text.size());
  const nlohmann::json header = parse_json_object(text, path + ": header");
  for (const auto& item : header.items()) {
    if (item.key() == kMetadataKey) {
      file.metadata_ = read_metadata(item.value(), path + ": " + std::string(kMetadataKey));
    } else {
      file.tensors_.push_back(read_tensor(item.key(), item.value(), path, data));
    }
  }
  check_coverage(file.tensors_, path, data);
  return file;
}

}  // namespace asdm
