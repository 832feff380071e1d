#include "median.h"

#include <stdio.h>

static int checks, failures;

static void check(const char *what, double seen, double wanted) {
  ++checks;
  if (seen == wanted) return;
  ++failures;
  printf("FAILED %s: saw %g, wanted %g\n", what, seen, wanted);
}

int main(void) {
  const double odd[] = {3, 1, 2};
  const double even[] = {4, 1, 3, 2};
  const double one[] = {7};
  check("median of 3 1 2", median(odd, 3), 2);
  check("median of 4 1 3 2", median(even, 4), 2.5);
  check("median of 7", median(one, 1), 7);
  check("median of nothing", median(NULL, 0), 0);
  printf("%d checks, %d failed\n", checks, failures);
  return failures != 0;
}
