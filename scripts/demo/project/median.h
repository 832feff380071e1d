// Statistics over a few numbers.
#ifndef MEDIAN_H
#define MEDIAN_H

#include <stddef.h>

// The middle value; of an even number of values, the mean of the two in the middle. 0 for none.
double median(const double* values, size_t count);

#endif
