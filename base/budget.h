/*
 * budget - the memory of the process against one number (memory.max_bytes).
 *
 * Accounts say what memory is for. Whoever may be refused takes before it
 * allocates and gives back after it frees, in steps and not per allocation;
 * what cannot be refused (it is there already, or it makes memory free) is
 * added. Everything together stays below the limit as long as what is added is
 * bounded elsewhere; the sizes are those asked of malloc.
 *
 * One per process, as its memory is; no limit until budget_limit() sets one.
 * Threads: any; taking is one atomic operation, waiting takes a mutex
 * (MUTEX_RANK_BUDGET).
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct err;

enum budget_account {
    BUDGET_PROCESS, /* code, stacks, libraries: a fixed part */
    BUDGET_HEADS,   /* a fixed part: the heads' own limit */
    BUDGET_SEALING, /* a fixed part: what one run of sealing needs beside the heads */
    BUDGET_CACHE,   /* decoded parts of segments, kept and in use */
    BUDGET_BODIES,  /* of requests */
    BUDGET_INTAKE,  /* decoding pushes */
    BUDGET_QUERIES, /* working memory of questions */
    BUDGET_MERGING, /* segments into larger ones */
    BUDGET_ACCOUNTS,
};

void budget_limit(uint64_t bytes); /* UINT64_MAX: none */
const char *budget_account_name(enum budget_account account);

/* False when it does not fit. */
bool budget_take(enum budget_account account, uint64_t bytes);
/* ERR_BUSY with the figures when it does not fit within `timeout_ns`. Hold no mutex. */
int budget_take_wait(enum budget_account account, uint64_t bytes, int64_t timeout_ns,
                     struct err *err);
void budget_add(enum budget_account account, uint64_t bytes); /* fits or not */
void budget_give(enum budget_account account, uint64_t bytes);
/* Is everything together above the limit? By budget_add() only. */
bool budget_is_over(void);
/* Counts a refusal and words it: ERR_BUSY. */
int budget_refuse(enum budget_account account, uint64_t bytes, struct err *err);

/*
 * What one question holds. It may take a part in advance, which later steps
 * then use up before they take more. One thread at a time.
 */
struct budget_share {
    enum budget_account account;
    uint64_t taken, used; /* used <= taken */
    uint64_t refused;     /* the first step that did not fit, bytes; 0: none */
};

int budget_share_expect(struct budget_share *s, uint64_t bytes, int64_t timeout_ns,
                        struct err *err);
bool budget_share_use(struct budget_share *s, uint64_t bytes); /* false: see `refused` */
void budget_share_unuse(struct budget_share *s, uint64_t bytes);
void budget_share_end(struct budget_share *s); /* gives what was taken and is not in use */

struct budget_usage {
    uint64_t limit, used;
    uint64_t accounts[BUDGET_ACCOUNTS];
    uint64_t waits, refusals;
};
void budget_usage(struct budget_usage *out);

#endif
