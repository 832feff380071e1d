#include "median.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
  double left = *(const double *)a;
  double right = *(const double *)b;
  return (left > right) - (left < right);
}

double median(const double *values, size_t count) {
  if (count == 0) return 0;
  double *sorted = malloc(count * sizeof *sorted);
  if (sorted == NULL) return 0;
  memcpy(sorted, values, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, compare);
  double middle = sorted[count / 2];
  free(sorted);
  return middle;
}
