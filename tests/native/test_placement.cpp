#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "native/inheritance/placement.h"

namespace asdm::placement {
namespace {

Indices all(int64_t total) {
  Indices indices;
  for (int64_t i = 0; i < total; ++i) {
    indices.push_back(i);
  }
  return indices;
}

TEST(Placement, AtAnInterval) {
  EXPECT_EQ(at_interval(10, 1), all(10));
  EXPECT_EQ(at_interval(10, 3), (Indices{0, 3, 6, 9}));
  EXPECT_EQ(at_interval(10, 9), (Indices{0, 9}));
  EXPECT_EQ(at_interval(10, 10), Indices{0});
  EXPECT_EQ(at_interval(10, INT64_MAX), Indices{0});
  EXPECT_EQ(at_interval(1, 1), Indices{0});
}

TEST(Placement, Evenly) {
  EXPECT_EQ(evenly(20, 7), (Indices{0, 3, 6, 9, 12, 15, 18}));
  EXPECT_EQ(evenly(20, 3), (Indices{0, 7, 14}));
  EXPECT_EQ(evenly(7, 3), (Indices{0, 3, 5}));
  EXPECT_EQ(evenly(7, 7), all(7));
}

TEST(Placement, FrontIsFasterDiffusionsKeySteps) {
  EXPECT_EQ(front(50), (Indices{0, 1, 2, 3, 5, 10, 15, 25, 35}));
  EXPECT_EQ(front(100), (Indices{0, 2, 4, 6, 10, 20, 30, 50, 70}));
  EXPECT_EQ(front(30), (Indices{0, 1, 3, 6, 9, 15, 21}));
  EXPECT_EQ(front(20), (Indices{0, 1, 2, 4, 6, 10, 14}));
  EXPECT_EQ(front(4), (Indices{0, 1, 2}));
  EXPECT_EQ(front(1), Indices{0});

  EXPECT_EQ(front(50, 9), front(50));
  EXPECT_EQ(front(50, 3), (Indices{0, 3, 15}));
  EXPECT_EQ(front(50, 5), (Indices{0, 1, 4, 12, 27}));
  EXPECT_EQ(front(50, 18), (Indices{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 35, 42}));
  EXPECT_EQ(front(20, 7), (Indices{0, 1, 2, 3, 4, 7, 12}));
  EXPECT_EQ(front(20, 9), (Indices{0, 1, 2, 3, 4, 5, 6, 10, 14}));
  EXPECT_EQ(front(20, 20), all(20));
}

TEST(Placement, TriangularIsWhereNinePlusEightTimesTheIndexIsASquare) {
  EXPECT_EQ(triangular(50), (Indices{0, 2, 5, 9, 14, 20, 27, 35, 44}));
  EXPECT_EQ(triangular(20), (Indices{0, 2, 5, 9, 14}));
  EXPECT_EQ(triangular(2), Indices{0});
  Indices squares;
  for (int64_t i = 0; i < 1000; ++i) {
    for (int64_t root = 3; root * root <= 9 + 8 * i; ++root) {
      if (root * root == 9 + 8 * i) {
        squares.push_back(i);
      }
    }
  }
  EXPECT_EQ(triangular(1000), squares);

  EXPECT_EQ(triangular(54, 9), triangular(50));  // the tenth would be 54
  EXPECT_EQ(triangular(50, 9), (Indices{0, 1, 4, 8, 12, 18, 25, 32, 40}));
  EXPECT_EQ(triangular(20, 5), (Indices{0, 2, 5, 9, 14}));
  EXPECT_EQ(triangular(20, 10), (Indices{0, 1, 2, 3, 4, 6, 8, 10, 13, 16}));
}

// What NumPy gives for DeepCache's sample_from_quad, where its indices are different ones.
TEST(Placement, QuadraticIsDeepCachesSampleFromQuad) {
  EXPECT_EQ(quadratic(50, 10, 1.2), (Indices{0, 3, 7, 11, 16, 21, 27, 32, 38, 44}));
  EXPECT_EQ(quadratic(50, 10, 1.4), (Indices{0, 1, 5, 9, 13, 18, 24, 30, 36, 43}));
  EXPECT_EQ(quadratic(20, 7, 1.2), (Indices{0, 1, 4, 7, 10, 13, 16}));
  EXPECT_EQ(quadratic(20, 4, 1.2), (Indices{0, 3, 8, 14}));
  EXPECT_EQ(quadratic(50, 25, 1.2),
            (Indices{0, 1, 2, 3, 5, 7, 9, 10, 12, 14, 16, 18, 20, 22, 24, 27, 29, 31, 33, 35, 38, 40, 42, 45, 47}));
  // DeepCache gives 18 indices for 20 of 20; here a count is a count.
  EXPECT_EQ(quadratic(20, 20, 1.2), all(20));
}

// What NumPy gives for DeepCache's sample_from_quad_center, and for the same with a signed power.
TEST(Placement, AroundIsDeepCachesSampleFromQuadCenterInBothRules) {
  struct Row {
    int64_t total;
    int64_t count;
    int64_t centre;
    Indices published;
    Indices with_sign;
  };
  const std::vector<Row> rows = {
      // DeepCache's demo for SD1.5
      {50, 10, 15, {0, 5, 9, 13, 17, 21, 26, 31, 37, 43}, {0, 6, 11, 14, 15, 19, 24, 29, 35, 42}},
      {20, 4, 6, {0, 5, 8, 13}, {0, 5, 7, 13}},
      {20, 7, 6, {0, 3, 5, 7, 10, 13, 16}, {0, 4, 6, 7, 9, 12, 16}},  // found at power 1.4 and 1.28
      {30, 10, 9, {0, 3, 6, 8, 10, 12, 15, 19, 22, 26}, {0, 4, 7, 9, 10, 12, 15, 18, 22, 26}},
      {28, 9, 8, {0, 3, 6, 8, 10, 13, 16, 20, 23}, {0, 4, 7, 8, 9, 12, 15, 19, 23}},
      // No power gives so many; DeepCache stops with an error.
      {20, 18, 6, evenly(20, 18), evenly(20, 18)},
      {20, 20, 6, all(20), all(20)},
      {1, 1, 0, {0}, {0}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(around(row.total, row.count, row.centre, 1.4, SignRule::kPublished), row.published)
        << row.count << " of " << row.total;
    EXPECT_EQ(around(row.total, row.count, row.centre, 1.4, SignRule::kSigned), row.with_sign)
        << row.count << " of " << row.total;
  }
}

TEST(Placement, GrowingGapsAreGeometric) {
  EXPECT_EQ(growing(30, 1, 2.0), (Indices{0, 1, 3, 7, 15}));
  EXPECT_EQ(growing(31, 1, 2.0), (Indices{0, 1, 3, 7, 15}));
  EXPECT_EQ(growing(32, 1, 2.0), (Indices{0, 1, 3, 7, 15, 31}));
  EXPECT_EQ(growing(20, 2, 1.25), (Indices{0, 2, 4, 7, 11, 16}));
  EXPECT_EQ(growing(50, 2, 1.25), (Indices{0, 2, 4, 7, 11, 16, 22, 30, 39}));
  EXPECT_EQ(growing(20, INT64_MAX, 1.25), Indices{0});

  EXPECT_EQ(growing_to(15, 1, 4), (Indices{0, 1, 3, 7}));  // ratio 2: 1 + 2 + 4 + 8 = 15
  EXPECT_EQ(growing_to(26, 2, 3), (Indices{0, 2, 8}));     // ratio 3: 2 + 6 + 18 = 26
  EXPECT_EQ(growing_to(50, 2, 10), (Indices{0, 2, 4, 7, 10, 14, 19, 25, 32, 40}));
  EXPECT_EQ(growing_to(50, 1, 10), (Indices{0, 1, 2, 4, 6, 9, 13, 19, 26, 36}));
  EXPECT_EQ(growing_to(50, 1, 2), (Indices{0, 1}));
  EXPECT_EQ(growing_to(50, 7, 1), Indices{0});
  EXPECT_EQ(growing_to(20, 3, 7), evenly(20, 7));  // seven gaps of three do not fit
  EXPECT_EQ(growing_to(20, 1, 20), all(20));
  EXPECT_EQ(growing_to(20, INT64_MAX, 2), (Indices{0, 10}));
}

TEST(Placement, WideningGapsAreSpectrumsWindow) {
  // Gaps 2, 2, 3, 3, 4, 4, ...
  EXPECT_EQ(widening(50, 2), (Indices{0, 2, 4, 7, 10, 14, 18, 23, 28, 34, 40, 47}));
  EXPECT_EQ(widening(20, 3), (Indices{0, 3, 6, 10, 14, 19}));
  EXPECT_EQ(widening(20, INT64_MAX), Indices{0});
  EXPECT_EQ(widening_to(18, 2, 6), (Indices{0, 2, 4, 7, 10, 14}));  // the seventh would be 18
  EXPECT_EQ(widening_to(50, 2, 10), (Indices{0, 2, 5, 8, 12, 17, 22, 28, 35, 42}));
  EXPECT_EQ(widening_to(20, 1, 7), (Indices{0, 1, 2, 5, 7, 11, 15}));
}

TEST(Placement, AlongAPath) {
  EXPECT_EQ(along({0, 1, 2, 3, 4, 5, 6}, 3), evenly(7, 3));
  EXPECT_EQ(along({5, 6, 7, 8, 9, 10, 11}, 3), evenly(7, 3));  // where it begins does not matter
  EXPECT_EQ(along({0, 10, 11, 12, 13, 14, 15}, 2), (Indices{0, 1}));
  EXPECT_EQ(along({0, 1, 2, 3, 4, 14, 24}, 2), (Indices{0, 6}));
  // Several parts end within one evaluation's way: the indices are set apart.
  EXPECT_EQ(along({0, 100, 101, 102, 103, 104}, 4), (Indices{0, 1, 2, 3}));
  EXPECT_EQ(along({0, 1, 2, 3, 4, 104}, 4), (Indices{0, 3, 4, 5}));
  EXPECT_EQ(along({0, 0, 0, 1}, 4), all(4));
  EXPECT_EQ(along({3, 3, 3}, 2), evenly(3, 2));
  EXPECT_EQ(along({3}, 1), Indices{0});
}

TEST(Placement, AlongAnEvenPathIsEvenWhateverTheRounding) {
  for (int64_t total = 1; total <= 100; ++total) {
    std::vector<double> path;
    double place = 0.1;
    for (int64_t i = 0; i < total; ++i) {
      path.push_back(place);
      place += 0.1;
    }
    for (int64_t count = 1; count <= total; ++count) {
      ASSERT_EQ(along(path, count), evenly(total, count)) << count << " of " << total;
    }
  }
}

TEST(Placement, ACountIsACountWhateverTheRule) {
  for (int64_t total = 1; total <= 100; ++total) {
    std::vector<double> path;
    for (int64_t i = 0; i < total; ++i) {
      path.push_back(static_cast<double>(i * i));
    }
    for (int64_t count = 1; count <= total; ++count) {
      const int64_t centre = total * 3 / 10;
      const std::vector<Indices> placements = {
          evenly(total, count),
          along(path, count),
          front(total, count),
          triangular(total, count),
          quadratic(total, count, 1.2),
          quadratic(total, count, 2.0),
          around(total, count, centre, 1.4, SignRule::kSigned),
          around(total, count, centre, 1.4, SignRule::kPublished),
          growing_to(total, 1, count),
          growing_to(total, 4, count),
          widening_to(total, 1, count),
          widening_to(total, 4, count),
      };
      for (size_t rule = 0; rule < placements.size(); ++rule) {
        const Indices& indices = placements[rule];
        ASSERT_EQ(std::ssize(indices), count) << "rule " << rule << ", " << count << " of " << total;
        ASSERT_EQ(indices.front(), 0) << "rule " << rule << ", " << count << " of " << total;
        ASSERT_LT(indices.back(), total) << "rule " << rule << ", " << count << " of " << total;
        // No index stands twice, and all rise.
        ASSERT_EQ(std::adjacent_find(indices.begin(), indices.end(), std::greater_equal<>()), indices.end())
            << "rule " << rule << ", " << count << " of " << total;
      }
    }
  }
}

}  // namespace
}  // namespace asdm::placement
