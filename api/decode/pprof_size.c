#include "api/decode/pprof.h"
#include "base/bytes.h"

/*
 * Sizes of proto3's canonical form. All field numbers are below 16, so a tag is
 * one byte everywhere.
 */

/* A number: nothing when zero. Negative ones take ten bytes. */
static uint64_t number_size(uint64_t value)
{
    return value == 0 ? 0 : 1 + varint_size(value);
}

static uint64_t index_size(int64_t value)
{
    return number_size((uint64_t)value);
}

static uint64_t bool_size(bool value)
{
    return value ? 2 : 0;
}

/* A length-delimited field, written even when empty. */
static uint64_t bytes_size(uint64_t len)
{
    return 1 + varint_size(len) + len;
}

static uint64_t packed_size(const uint64_t *numbers, uint32_t first, uint32_t count)
{
    uint64_t len = 0;

    for (uint32_t i = 0; i < count; i++)
        len += varint_size(numbers[first + i]);
    return count == 0 ? 0 : bytes_size(len);
}

static uint64_t value_type_size(const struct pprof_value_type *v)
{
    return index_size(v->type) + index_size(v->unit);
}

static uint64_t sample_size(const struct pprof *p, const struct pprof_sample *s)
{
    uint64_t len = packed_size(p->location_ids, s->location_first, s->location_count) +
                   packed_size((const uint64_t *)p->values, s->value_first, s->value_count);

    for (uint32_t i = 0; i < s->label_count; i++) {
        const struct pprof_label *l = &p->labels[s->label_first + i];

        len += bytes_size(index_size(l->key) + index_size(l->str) + index_size(l->num) +
                          index_size(l->num_unit));
    }
    return len;
}

static uint64_t mapping_size(const struct pprof_mapping *m)
{
    return number_size(m->id) + number_size(m->memory_start) + number_size(m->memory_limit) +
           number_size(m->file_offset) + index_size(m->filename) + index_size(m->build_id) +
           bool_size(m->has_functions) + bool_size(m->has_filenames) +
           bool_size(m->has_line_numbers) + bool_size(m->has_inline_frames);
}

static uint64_t location_size(const struct pprof *p, const struct pprof_location *l)
{
    uint64_t len = number_size(l->id) + number_size(l->mapping_id) + number_size(l->address) +
                   bool_size(l->is_folded);

    for (uint32_t i = 0; i < l->line_count; i++) {
        const struct pprof_line *line = &p->lines[l->line_first + i];

        len += bytes_size(number_size(line->function_id) + index_size(line->line));
    }
    return len;
}

static uint64_t function_size(const struct pprof_function *f)
{
    return number_size(f->id) + index_size(f->name) + index_size(f->system_name) +
           index_size(f->filename) + index_size(f->start_line);
}

uint64_t pprof_encoded_bytes(const struct pprof *p)
{
    uint64_t size = index_size(p->drop_frames) + index_size(p->keep_frames) +
                    index_size(p->time_ns) + index_size(p->duration_ns) + index_size(p->period) +
                    index_size(p->default_sample_type) +
                    packed_size((const uint64_t *)p->comments, 0, p->comment_count);

    if (p->has_period_type)
        size += bytes_size(value_type_size(&p->period_type));
    for (uint32_t i = 0; i < p->sample_type_count; i++)
        size += bytes_size(value_type_size(&p->sample_types[i]));
    for (uint32_t i = 0; i < p->sample_count; i++)
        size += bytes_size(sample_size(p, &p->samples[i]));
    for (uint32_t i = 0; i < p->mapping_count; i++)
        size += bytes_size(mapping_size(&p->mappings[i]));
    for (uint32_t i = 0; i < p->location_count; i++)
        size += bytes_size(location_size(p, &p->locations[i]));
    for (uint32_t i = 0; i < p->function_count; i++)
        size += bytes_size(function_size(&p->functions[i]));
    for (uint32_t i = 0; i < p->string_count; i++)
        size += bytes_size(p->strings[i].len);
    return size;
}
