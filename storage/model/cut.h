/*
 * cut - choosing the value below which nodes are folded away.
 *
 * Shared by the call tree and the diff of two. Pure functions.
 */
#ifndef STORAGE_MODEL_CUT_H
#define STORAGE_MODEL_CUT_H

#include "storage/model/value.h"

#include <stdint.h>

/*
 * The value at index k if `values` were sorted descending. Reorders `values`.
 * Hoare's selection with the middle as pivot: linear on average.
 */
value128 cut_select(value128 *values, uint32_t count, uint32_t k);

#endif
