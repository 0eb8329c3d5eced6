#include "tests/support/segment_make.h"

#include "tests/support/dataset_fake.h"
#include "tests/support/profile_gen.h"

#include "base/check.h"

#include <stdlib.h>

struct dataset_fake *segment_make_rows(uint64_t seed, struct str service, uint32_t rows)
{
    struct dataset_fake *f = dataset_fake_new(STR("tenant"), service);
    struct profile_gen g;

    profile_gen_init(&g, seed, service, SEGMENT_MAKE_NS + 1, INT64_C(7200000000000));
    for (uint32_t i = 0; i < rows; i++) {
        struct push_row row;

        profile_gen_row(&g, &row);
        dataset_fake_add(f, &row, seed % 1000 + i / 2, i % 2);
    }
    profile_gen_release(&g);
    return f;
}

struct segment_meta segment_make_meta(uint64_t seed)
{
    static const struct segment_source sources[] = {{5, 1, 7}, {6, 2, 9}};

    return (struct segment_meta){.id = {seed, 1},
                                 .tenant = STR("tenant"),
                                 .day = SEGMENT_MAKE_DAY,
                                 .rollups = SEGMENT_ROLLUPS_ALWAYS,
                                 .created_ns = SEGMENT_MAKE_NS,
                                 .sources = sources,
                                 .source_count = 2};
}

int segment_make_write(struct blob_store *blobs, uint64_t seed, struct dataset_fake **services,
                       uint32_t count, struct segment_meta *meta, struct err *err)
{
    struct dataset **datasets = calloc(count + 1, sizeof(struct dataset *));
    int rc;

    check(datasets);
    *meta = segment_make_meta(seed);
    for (uint32_t i = 0; i < count; i++)
        datasets[i] = dataset_fake_dataset(services[i]);
    rc = segment_write(blobs, datasets, count, meta, err);
    free(datasets);
    return rc;
}
