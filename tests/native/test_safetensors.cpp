#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "native/format/safetensors.h"
#include "tests/native/error_of.h"
#include "tests/native/safetensors_bytes.h"

namespace asdm {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::safetensors_bytes;
using testing::write_file;

const std::string kTwoTensors = R"({"__metadata__":{"format":"pt","note":"a b"},)"
                                R"("second":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},)"
                                R"("first":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";

std::string two_floats(float a, float b) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &a, 4);
  std::memcpy(bytes.data() + 4, &b, 4);
  return bytes;
}

TEST(Safetensors, GivesMetadataAndTensorsByName) {
  const std::string path = write_file(safetensors_bytes(kTwoTensors, two_floats(1.5F, -2.0F) + "xyz"));
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(file.path(), path);
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"note", "a b"}}));
  ASSERT_EQ(file.tensors().size(), 2U);
  const TensorEntry& first = file.tensors()[0];
  EXPECT_EQ(first.name, "first");
  EXPECT_EQ(first.shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(file.read(first), two_floats(1.5F, -2.0F));
  EXPECT_EQ(file.tensors()[1].name, "second");
  EXPECT_EQ(file.read(file.tensors()[1]), "xyz");
}

TEST(Safetensors, AFileThatIsCutShortMeanwhileIsAnError) {
  const std::string path = write_file(safetensors_bytes(kTwoTensors, two_floats(0, 0) + "xyz"));
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 2);
  expect_contains(error_of([&] { return file.read(file.tensors()[1]); }), "expected 3 bytes at");
  std::filesystem::remove(path);
  expect_contains(error_of([&] { return file.read(file.tensors()[1]); }), path + ": expected a readable file");
}

TEST(Safetensors, EmptyTensorsAndScalarsAreLegal) {
  const SafetensorsFile file = SafetensorsFile::open(
      write_file(safetensors_bytes(R"({"none":{"dtype":"F16","shape":[0,9223372036854775807],"data_offsets":[0,0]},)"
                                   R"("scalar":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}  )",
                                   "ab")));
  ASSERT_EQ(file.tensors().size(), 2U);
  EXPECT_EQ(file.tensors()[0].name, "none");
  EXPECT_EQ(file.read(file.tensors()[0]), "");
  EXPECT_TRUE(file.tensors()[1].shape.empty());
  EXPECT_TRUE(SafetensorsFile::open(write_file(safetensors_bytes("{}", ""), "empty")).tensors().empty());
}

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

TEST(Safetensors, RefusesBadHeaders) {
  struct Row {
    std::string header;
    size_t data_bytes;
    std::string message;
  };
  const std::string f32 = "\"F32\"";
  const std::vector<Row> rows = {
      {one(f32, "[2]", "[0,8]"), 7, "an end within the 7 data bytes of the file, got 8 (a truncated file?)"},
      {one(f32, "[-2]", "[0,8]"), 8, "tensor 'w'.shape: expected integers of 0 or more, got -2"},
      {one(f32, "2", "[0,8]"), 8, "tensor 'w'.shape: expected a list of integers, got 2"},
      {one(f32, "[2.0]", "[0,8]"), 8, "tensor 'w'.shape: expected integers of 0 or more, got 2.0"},
      {one(f32, "[2]", "[8,0]"), 8, "tensor 'w'.data_offsets: expected [begin, end] with begin <= end, got [8,0]"},
      {one(f32, "[2]", "[0]"), 8, "tensor 'w'.data_offsets: expected [begin, end]"},
      {one(f32, "[2]", "[0,18446744073709551615]"), 8, "tensor 'w'.data_offsets: expected integers of 0 or more"},
      {R"({"w":3})", 0, "tensor 'w': expected an object of dtype"},
      {R"({"w":{},"w":{}})", 0, "header: expected every key once, got 'w' twice"},
      {R"({"__metadata__":{"a":1}})", 0, "__metadata__.a: expected a string, got 1"},
      {R"({"__metadata__":[]})", 0, "__metadata__: expected an object of strings, got a list"},
      {R"({"w")", 0, "header: expected JSON"},
      {R"(["w"])", 0, "expected a safetensors file, got a header that does not start with '{'"},
      {"", 0, "expected a safetensors file, got a header that does not start with '{'"},
      {"{\"\xff\":1}", 0, "header: expected JSON"},
      {"{\"\\ud800\":1}", 0, "header: expected JSON"},
      {R"({"w":[[[[[[[[[]]]]]]]]]})", 0, "header: expected JSON nested at most 8 deep"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.header);
    const std::string path = write_file(safetensors_bytes(row.header, std::string(row.data_bytes, 'd')));
    const std::string message = error_of([&] { return SafetensorsFile::open(path); });
    expect_contains(message, path);
    expect_contains(message, row.message);
  }
}

TEST(Safetensors, RefusesFilesThatAreNone) {
  const std::string huge("\xff\xff\xff\xff\xff\xff\xff\xff{", 9);
  const std::string just_too_long = safetensors_bytes(std::string(20, ' '), "").substr(0, 27);
  const std::string above_limit("\x01\xe1\xf5\x05\x00\x00\x00\x00{", 9);  // 100 000 001
  const std::string zip("PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00", 12);
  const std::string pickle("\x80\x02}q\x00(X\x06\x00\x00\x00", 11);
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"", "a file of 0 bytes, too short for a header length"},
      {"1234567", "a file of 7 bytes, too short for a header length"},
      {huge, "a header length of 18446744073709551615 bytes, above the format's limit"},
      {above_limit, "a header length of 100000001 bytes, above the format's limit of 100000000"},
      {just_too_long, "a truncated file: the header claims 20 bytes, the file has 19 after the length"},
      {zip, "a pickle checkpoint"},
      {pickle, "a pickle checkpoint"},
      {std::string("GGUF\x03\x00\x00\x00\x00", 9), "a GGUF file"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "a Git LFS pointer"},
      {"<!DOCTYPE html><html>", "a web page"},
      {std::string("\0\0\0\0\0\0\0\x02{}", 10), "a header length of 144115188075855872 bytes"},  // big-endian
      {safetensors_bytes("\xEF\xBB\xBF{}", ""), "a header that does not start with '{'"},
  };
  for (const auto& [bytes, message] : rows) {
    const std::string path = write_file(bytes);
    const std::string got = error_of([&] { return SafetensorsFile::open(path); });
    expect_contains(got, path + ": expected a safetensors file, got");
    expect_contains(got, message);
  }
}

TEST(Safetensors, MessagesAreUTF8WhateverTheFileHolds) {
  // Python would give a UnicodeDecodeError in the place of a message that is not.
  const auto message = [](const std::string& header) {
    return error_of([&] { return SafetensorsFile::open(write_file(safetensors_bytes(header, ""))); });
  };
  expect_contains(message("{\"n\xA8\xE2\x82\xAC\xF4\x90\x80\x80m\": 1}"), "'\"n\xEF\xBF\xBD'");
  std::string half;  // a message shows so much of it, which ends within a character
  for (int i = 0; i < 40; ++i) {
    half += "\xC3\xA9";
  }
  const std::string shown = message(R"({"__metadata__": {"format": ["x", "y"], "a": 1}, "b": ")" + half + "\"}");
  expect_contains(shown, "__metadata__.a: expected a string, got 1");
  const std::string cut = message(R"({"__metadata__": ")" + half + "\"}");
  expect_contains(cut, "\xC3\xA9\xEF\xBF\xBD...");
}

TEST(Safetensors, RefusesWhatCannotBeOpened) {
  expect_contains(error_of([] { return SafetensorsFile::open("/nonexistent/x.safetensors"); }),
                  "/nonexistent/x.safetensors: expected a readable file, got No such file");
  expect_contains(error_of([] { return SafetensorsFile::open(::testing::TempDir()); }), "a regular file, got a folder");
}

TEST(Safetensors, ManyTensorsAreReadInOneWalk) {
  std::string header = "{";
  constexpr int kMany = 100'000;
  for (int i = 0; i < kMany; ++i) {
    header += (i == 0 ? "\"t" : ",\"t") + std::to_string(i) + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" +
              std::to_string(i) + "," + std::to_string(i + 1) + "]}";
  }
  const std::string path = write_file(safetensors_bytes(header + "}", std::string(kMany, 'd')));
  EXPECT_EQ(SafetensorsFile::open(path).tensors().size(), static_cast<size_t>(kMany));
}

}  // namespace
}  // namespace asdm
