/* A broken invariant stops the process and says where, in every build. */
#include "base/check.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Runs `child` in a process of its own; returns its wait status and what it said. */
static int run(void (*child)(void), char *said, size_t room)
{
    int pipes[2], status;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(pipes[1], STDERR_FILENO);
        child();
        _exit(0);
    }
    (void)close(pipes[1]);
    while ((n = read(pipes[0], said + len, room - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    (void)close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void break_it(void)
{
    int count = 3;

    check(count == 2 && "two");
}

static void keep_it(void)
{
    check(1 + 1 == 2);
}

static void arrive(void)
{
    check_unreachable();
}

static void test_a_broken_check_names_condition_and_place_and_aborts(void **state)
{
    char said[16384];
    int status;

    (void)state;
    status = run(break_it, said, sizeof(said));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "count == 2"));
    assert_non_null(strstr(said, "test_check.c:"));
    status = run(arrive, said, sizeof(said));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_a_check_that_holds_is_silent(void **state)
{
    char said[64];

    (void)state;
    assert_int_equal(run(keep_it, said, sizeof(said)), 0);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_broken_check_names_condition_and_place_and_aborts),
        cmocka_unit_test(test_a_check_that_holds_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
