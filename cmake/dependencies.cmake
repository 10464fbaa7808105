# LibTorch from the Python that will load the module; the rest from the system, else a pinned and hashed download.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)

# By its files and not by torch's own CMake package: that one asks for a CUDA toolkit where torch was built for CUDA, and
# whoever has such a torch from a wheel has none. Nothing here compiles or links against CUDA.
set(ASDM_ASK_TORCH "import pathlib, torch
print(pathlib.Path(torch.__file__).parent.as_posix(), torch.__version__.partition('+')[0], sep=';')")
execute_process(
  COMMAND ${Python_EXECUTABLE} -c "${ASDM_ASK_TORCH}"
  OUTPUT_VARIABLE ASDM_TORCH
  OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE ASDM_TORCH_MISSING)
if(ASDM_TORCH_MISSING)
  message(FATAL_ERROR
    "torch is missing in ${Python_EXECUTABLE}. The module must be built with the torch that loads it: "
    "run 'pip install torch==2.13.0' in that Python, or pass -DPython_EXECUTABLE=<the Python of your ComfyUI>.")
endif()
list(GET ASDM_TORCH 0 ASDM_TORCH_FOLDER)
list(GET ASDM_TORCH 1 ASDM_TORCH_VERSION)
if(ASDM_TORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "torch 2.11 or newer is needed, found ${ASDM_TORCH_VERSION} in ${Python_EXECUTABLE}.")
endif()
message(STATUS "Found torch ${ASDM_TORCH_VERSION}: ${ASDM_TORCH_FOLDER}")
foreach(library c10 torch_cpu torch torch_python)
  string(TOUPPER "ASDM_${library}_LIBRARY" variable)
  find_library(${variable} ${library} PATHS "${ASDM_TORCH_FOLDER}/lib" NO_DEFAULT_PATH REQUIRED)
endforeach()

# One target for ATen, its headers marked SYSTEM.
add_library(asdm_torch INTERFACE)
target_include_directories(asdm_torch SYSTEM INTERFACE
  "${ASDM_TORCH_FOLDER}/include" "${ASDM_TORCH_FOLDER}/include/torch/csrc/api/include")
target_link_libraries(asdm_torch INTERFACE ${ASDM_TORCH_LIBRARY} ${ASDM_TORCH_CPU_LIBRARY} ${ASDM_C10_LIBRARY})

# at::parallel_for is inlined into our files, and runs in one thread without OpenMP. The runtime is the one that torch
# brings, where it brings one: two of them would fight for the cores. Clang's code speaks to another one than the libgomp
# of torch on Linux, in which each of its threads would take itself for the first and do all of the work.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND NOT WIN32)
  message(WARNING "Clang does not speak to torch's OpenMP: what it builds is right and runs in one thread.")
else()
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  file(GLOB ASDM_TORCH_OPENMP "${ASDM_TORCH_FOLDER}/lib/libgomp*.so*" "${ASDM_TORCH_FOLDER}/../torch.libs/libgomp*.so*")
  if(ASDM_TORCH_OPENMP)
    list(GET ASDM_TORCH_OPENMP 0 ASDM_TORCH_OPENMP)
    target_compile_options(asdm_torch INTERFACE ${OpenMP_CXX_FLAGS})
    target_link_libraries(asdm_torch INTERFACE ${ASDM_TORCH_OPENMP})
  else()
    target_link_libraries(asdm_torch INTERFACE OpenMP::OpenMP_CXX)
  endif()
endif()

include(FetchContent)

find_package(nlohmann_json 3.10 QUIET)
if(NOT nlohmann_json_FOUND)
  message(STATUS "nlohmann_json: no system package (Debian: nlohmann-json3-dev), downloading 3.11.3")
  FetchContent_Declare(nlohmann_json
    URL https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz
    URL_HASH SHA256=d6c65aca6b1ed68e7a182f4757257b107ae403032760ed6ef121c9d55e81757d
    SYSTEM)
  FetchContent_MakeAvailable(nlohmann_json)
endif()

find_package(spdlog 1.10 QUIET)
if(NOT spdlog_FOUND)
  message(STATUS "spdlog: no system package (Debian: libspdlog-dev), downloading 1.14.1")
  FetchContent_Declare(spdlog
    URL https://github.com/gabime/spdlog/archive/refs/tags/v1.14.1.tar.gz
    URL_HASH SHA256=1586508029a7d0670dfcb2d97575dcdc242d3868a259742b69f100801ab4e16b
    SYSTEM)
  FetchContent_MakeAvailable(spdlog)
endif()

if(ASDM_BUILD_TESTS)
  find_package(GTest 1.12 QUIET)
  if(NOT GTest_FOUND)
    message(STATUS "GoogleTest: no system package (Debian: libgtest-dev), downloading 1.14.0")
    FetchContent_Declare(googletest
      URL https://github.com/google/googletest/archive/refs/tags/v1.14.0.tar.gz
      URL_HASH SHA256=8ad598c73ad796e0d8280b082cebd82a630d73e73cd3c70057938a6501bba5d7
      SYSTEM)
    FetchContent_MakeAvailable(googletest)
  endif()
endif()

# For native/base/log.cpp alone (see log.h). Headers alone, of its fmt too: a wheel must not ask for libraries that its
# user's system has in another version, or not at all.
add_library(asdm_spdlog INTERFACE)
target_compile_definitions(asdm_spdlog INTERFACE FMT_HEADER_ONLY)
target_link_libraries(asdm_spdlog INTERFACE spdlog::spdlog_header_only)
