/*
 * fuzz_push_record - any bytes as push records of the log, into heads.
 *
 * Input: two records of two log files, split at a length in the first two bytes. What comes
 * out of them must be datasets that can be read whole.
 */
#include "storage/head.h"
#include "storage/head_replay.h"

#include "storage/model/samples.h"

#include "base/arena.h"
#include "base/check.h"

#include <stddef.h>
#include <stdint.h>

static bool is_sealed(void *ctx, uint64_t id)
{
    (void)ctx;
    return id % 7 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    HEADS_MAX = 4,
    HEAD_BYTES = 8 << 20,
};

struct heads {
    struct head *heads[HEADS_MAX];
    uint32_t count;
};

/* Ids that end in 7 are of heads whose rows are in a segment. */
static struct head *find(void *ctx, uint64_t id, const struct head_key *key)
{
    struct heads *h = ctx;

    for (uint32_t i = 0; i < h->count; i++)
        if (h->heads[i]->id == id)
            return h->heads[i];
    if (id % 10 == 7 || h->count == HEADS_MAX)
        return NULL;
    h->heads[h->count] = head_new(key, id, HEAD_BYTES);
    return h->heads[h->count++];
}

static void dedup(void *ctx, uint64_t key, int64_t time_ns)
{
    (void)ctx;
    (void)key;
    (void)time_ns;
}

static int visit(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                 struct err *err)
{
    (void)ctx;
    (void)err;
    check(row->sample_count == columns->count);
    for (uint32_t i = 1; i < columns->count; i++)
        check(columns->stacks[i - 1] <= columns->stacks[i]);
    return 0;
}

static void read_all(struct dataset *ds, struct arena *scratch)
{
    const struct dataset_index *ix;
    struct dataset_scan scan = {.time = {INT64_MIN, INT64_MAX}, .samples = true};
    uint32_t *entries;
    uint64_t *types;

    check(ds->ops->index(ds, &ix, NULL) == 0);
    entries = arena_array(scratch, uint32_t, ix->entry_count);
    types = arena_array(scratch, uint64_t, ix->entry_count);
    check(entries && types);
    for (uint32_t i = 0; i < ix->entry_count; i++) {
        entries[i] = i;
        types[i] = UINT64_MAX;
    }
    scan.entries = entries;
    scan.types = types;
    scan.entry_count = ix->entry_count;
    check(ds->ops->scan(ds, &scan, scratch, visit, NULL, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heads h = {.count = 0};
    struct head_replay_hooks hooks = {&h, find, is_sealed, dedup, 1};
    struct head_replay *r;
    struct arena scratch;
    struct str record;
    size_t first;

    if (size < 2)
        return 0;
    first = data[0] | (size_t)data[1] << 8;
    record = (struct str){(const char *)data + 2, size - 2};
    first = first < record.len ? first : record.len;
    r = head_replay_new(&hooks);
    head_replay_record(r, 1, 1, (struct str){record.p, first});
    head_replay_record(r, 2, 2, (struct str){record.p + first, record.len - first});
    head_replay_free(r);
    arena_init(&scratch, SIZE_MAX);
    for (uint32_t i = 0; i < h.count; i++) {
        struct dataset *ds = head_dataset_open(h.heads[i], UINT64_MAX);

        if (ds)
            read_all(ds, &scratch);
        head_dataset_close(ds);
        head_unref(h.heads[i]);
    }
    arena_release(&scratch);
    return 0;
}
