# Warnings, sanitizers, ccache. Third-party headers are SYSTEM, so that -Werror judges our code alone.
add_library(asdm_compiler_flags INTERFACE)
target_compile_options(asdm_compiler_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor)
# g++ 12 sees an overlap in every std::string concatenation (GCC bug 105651).
target_compile_options(asdm_compiler_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(ASDM_WERROR)
  target_compile_options(asdm_compiler_flags INTERFACE -Werror)
endif()
if(ASDM_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize=vptr)
  add_link_options(-fsanitize=address,undefined)
endif()
if(ASDM_SANITIZE_THREADS)
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()
if(ASDM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(ASDM_CCACHE ccache)
if(ASDM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need this sloppiness, or every file misses the cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${ASDM_CCACHE})
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endif()
