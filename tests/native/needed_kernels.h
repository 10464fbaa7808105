// Tests of kernels that this processor has none of are skipped, and say so. scripts/test.sh fails on any other skip,
// and ASDM_MUST_HAVE_KERNELS (test_cpu_kernels.cpp) names those that a machine must have.
#pragma once

#include <c10/core/ScalarType.h>
#include <gtest/gtest.h>

#include "native/layers/cpu_kernels.h"

/// Ends the test where there are no kernels of `dtype`. A macro, as gtest can skip from the test's own body alone.
#define ASDM_NEEDS_KERNELS(dtype)                                  \
  do {                                                             \
    if (cpu_kernels(dtype) == nullptr) {                           \
      GTEST_SKIP() << "needs kernels of " << c10::toString(dtype); \
    }                                                              \
  } while (false)
