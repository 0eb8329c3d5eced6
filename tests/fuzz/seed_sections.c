/* Seeds of fuzz_sections: the sections of small segments from the writer, unpacked. */
#include "storage/segment_pack.h"
#include "storage/segment_reader.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/fs.h"

#include "storage/blob_store.h"

#include "tests/support/dataset_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/segment_make.h"

#include <stdio.h>

enum {
    SEEDS = 12,
    SECTIONS = 7,
    MEMORY = 64 << 20,
};

static const uint32_t kinds[SECTIONS] = {SECTION_STR, SECTION_FUN, SECTION_MAP, SECTION_LOC,
                                         SECTION_STK, SECTION_LBL, SECTION_DIR};

/* Those of the first service. STR stays in its blocks. */
static void read_sections(const struct segment *s, struct arena *arena, struct str raw[SECTIONS])
{
    struct segment_pack *pack = segment_pack_new();
    struct segment_section *sections;
    struct segment_reading agg = {0};

    check(pack);
    check(segment_reading_open(s, SEGMENT_FILE_AGG, &agg, NULL) == 0);
    check(segment_sections(&agg, arena, &sections, NULL) == 0);
    for (uint32_t i = 0; i < s->footer.table_count; i++)
        for (int k = 0; k < SECTIONS; k++)
            if (sections[i].kind == kinds[k] && sections[i].service == 0)
                check((k == 0 ? segment_section_read(&agg, &sections[i], arena, &raw[k], NULL)
                              : segment_section_unpack(&agg, &sections[i], pack, arena, &raw[k],
                                                       NULL)) == 0);
    segment_reading_close(&agg);
    segment_pack_free(pack);
}

static void save(const char *dir, uint64_t seed, const struct str raw[SECTIONS])
{
    uint8_t head[2 * SECTIONS];
    char path[4096];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/sections-%02llu", dir, (unsigned long long)seed);
    f = fopen(path, "wb");
    for (int k = 0; k < SECTIONS; k++) {
        check(raw[k].p && raw[k].len <= UINT16_MAX);
        put_le16(head + 2 * k, (uint16_t)raw[k].len);
    }
    check(f && fwrite(head, sizeof(head), 1, f) == 1);
    for (int k = 0; k < SECTIONS; k++)
        check(raw[k].len == 0 || fwrite(raw[k].p, raw[k].len, 1, f) == 1);
    check(fclose(f) == 0);
}

static void write_seed(const char *dir, uint64_t seed)
{
    struct dataset_fake *fake = segment_make_rows(seed, STR("a"), 1 + (uint32_t)seed);
    struct str raw[SECTIONS] = {0};
    struct fs *fs = fs_fault_new();
    struct blob_store *blobs;
    struct segment_meta meta;
    struct segment *s;
    struct arena arena;

    arena_init(&arena, MEMORY);
    check(blob_store_dir_open(fs, &blobs, NULL) == 0);
    check(segment_make_write(blobs, seed, &fake, 1, &meta, NULL) == 0);
    check(segment_open(blobs, NULL, meta.tenant, meta.day, meta.id, meta.level, &s, NULL) == 0);
    read_sections(s, &arena, raw);
    save(dir, seed, raw);
    segment_unref(s);
    dataset_fake_free(fake);
    blobs->ops->free(blobs);
    fs_free(fs);
    arena_release(&arena);
}

int main(int argc, char **argv)
{
    check(argc == 2);
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        write_seed(argv[1], seed);
    return 0;
}
