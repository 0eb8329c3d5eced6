/* Until segments are there: heads stay in memory and in the log. */
#if !__has_include("storage/segment_writer.h")

#include "storage/storage_internal.h"

#include "base/err.h"

int segment_write(struct blob_store *blobs, struct dataset *const *datasets, uint32_t count,
                  struct segment_meta *meta, struct err *err)
{
    (void)blobs;
    (void)datasets;
    (void)count;
    (void)meta;
    return err_set(err, ERR_UNSUPPORTED, "segments are not built");
}

int segment_open(struct blob_store *blobs, struct str tenant, int32_t day, struct segment_id id,
                 uint8_t level, struct segment **out, struct err *err)
{
    (void)blobs;
    (void)tenant;
    (void)day;
    (void)id;
    (void)level;
    (void)out;
    return err_set(err, ERR_UNSUPPORTED, "segments are not built");
}

struct segment *segment_ref(struct segment *s)
{
    return s;
}

void segment_unref(struct segment *s)
{
    (void)s;
}

const struct segment_meta *segment_meta(const struct segment *s)
{
    (void)s;
    return NULL;
}

uint32_t segment_service_count(const struct segment *s)
{
    (void)s;
    return 0;
}

struct str segment_service_name(const struct segment *s, uint32_t i, struct time_span *time)
{
    (void)s;
    (void)i;
    *time = (struct time_span){0, 0};
    return STR("");
}

int segment_dataset_open(struct segment *s, uint32_t i, struct dataset **out, struct err *err)
{
    (void)s;
    (void)i;
    (void)out;
    return err_set(err, ERR_UNSUPPORTED, "segments are not built");
}

void segment_dataset_close(struct dataset *ds)
{
    (void)ds;
}

int storage_load_segments(struct storage *s, struct storage_recovery *recovery, struct err *err)
{
    (void)s;
    (void)recovery;
    (void)err;
    return 0;
}

int storage_verify(struct fs *fs, struct buf *report, struct err *err)
{
    (void)fs;
    (void)report;
    return err_set(err, ERR_UNSUPPORTED, "segments are not built");
}

int storage_rebuild_catalog(struct fs *fs, const struct clock *clock, struct buf *report,
                            struct err *err)
{
    (void)fs;
    (void)clock;
    (void)report;
    return err_set(err, ERR_UNSUPPORTED, "segments are not built");
}

void storage_add_segment(struct storage *s, struct segment *seg)
{
    (void)s;
    (void)seg;
}

#endif
