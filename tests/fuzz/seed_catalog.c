/* Seeds of fuzz_catalog: empty, with a few segments, closed well and left open. */
#include "storage/catalog.h"

#include "base/check.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_seed(const char *dir, uint32_t segments, bool closed)
{
    static const struct segment_source sources[] = {{7, 100, 200}, {9, 150, UINT64_MAX}};
    struct catalog *c;
    struct err err;
    char path[4096];
    bool fresh;

    (void)snprintf(path, sizeof(path), "%s/%s-%u", dir, closed ? "closed" : "open", segments);
    check(catalog_sqlite_open(path, &c, &fresh, &err) == 0 && fresh);
    for (uint32_t i = 0; i < segments; i++) {
        struct segment_meta meta = {.id = {i, ~(uint64_t)i},
                                    .tenant = STR("tenant"),
                                    .day = 20780,
                                    .level = (uint8_t)i,
                                    .rows = 5,
                                    .samples = UINT64_MAX,
                                    .agg_bytes = 6,
                                    .services = 2,
                                    .sources = sources,
                                    .source_count = i % 3};

        check(c->ops->add(c, &meta, &err) == 0);
    }
    if (segments > 1)
        check(c->ops->set_state(c, (struct segment_id){1, ~UINT64_C(1)}, CATALOG_DELETING, &err) ==
              0);
    if (!closed)
        _exit(0); /* as after a crash */
    c->ops->close(c);
}

int main(int argc, char **argv)
{
    check(argc == 2);
    for (uint32_t segments = 0; segments < 4; segments++) {
        pid_t child;

        write_seed(argv[1], segments, true);
        child = fork();
        check(child >= 0);
        if (child == 0)
            write_seed(argv[1], segments, false);
        check(waitpid(child, NULL, 0) == child);
    }
    return 0;
}
