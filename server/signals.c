/* signals - see signals.h. */
#include "server/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

static void stop_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void signals_init(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGPIPE, &ignore, NULL);
    stop_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int signals_wait(void)
{
    sigset_t set;
    int signal_number = 0;
    stop_set(&set);
    while (sigwait(&set, &signal_number) != 0)
        ;
    /* Whoever asks twice means it. */
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return signal_number;
}
