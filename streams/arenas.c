/* Python's small objects in pages of 2 MiB instead of 4 KiB.

   A worker's state is millions of small objects all over the memory, and every event touches some dozens of them. With
   4 KiB pages the processor looks up most of their addresses first, in a virtual machine twice. Where the kernel gives
   no such pages, these are pages as ever. See `streams/native.py`; how much it gives: docs/performance.md. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <sys/mman.h>

#define ARENA ((size_t)1 << 20)       /* what Python asks for, as a rule */
#define PAGE ((size_t)2 << 20)
#define CHUNK ((size_t)64 << 20)      /* address space taken at once; memory only as it is touched */
#define MOST_FREE 65536               /* arenas given back and not asked for again, of which the addresses are kept */
#define WARM 32                       /* of them, those that keep their memory */

static char *next_arena, *end_of_chunk;
static void *given_back[MOST_FREE];
static size_t n_given_back;

static void *
map(size_t size)
{
    void *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return found == MAP_FAILED ? NULL : found;
}

static int
new_chunk(void)
{
    char *found = map(CHUNK + PAGE);
    if (found == NULL) {
        return 0;
    }
    next_arena = (char *)(((uintptr_t)found + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    end_of_chunk = next_arena + CHUNK;
#ifdef MADV_HUGEPAGE
    madvise(next_arena, CHUNK, MADV_HUGEPAGE);
#endif
    return 1;
}

/* Called with the interpreter's lock held, as is `release`. */
static void *
take(void *context, size_t size)
{
    (void)context;
    if (size != ARENA) {
        return map(size); /* a piece of a Python stack */
    }
    if (n_given_back) {
        return given_back[--n_given_back];
    }
    if (next_arena == end_of_chunk && !new_chunk()) {
        return NULL;
    }
    char *arena = next_arena;
    next_arena += ARENA;
    return arena;
}

static void
release(void *context, void *arena, size_t size)
{
    (void)context;
    if (size != ARENA || n_given_back == MOST_FREE) {
        munmap(arena, size);
        return;
    }
    if (n_given_back >= WARM) {
        madvise(arena, size, MADV_DONTNEED);
    }
    given_back[n_given_back++] = arena;
}

static PyObject *
use(PyObject *module, PyObject *ignored)
{
    (void)module;
    (void)ignored;
    PyObjectArenaAllocator ours = {NULL, take, release};
    PyObject_SetArenaAllocator(&ours);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"use", use, METH_NOARGS, "Let what Python takes from here on lie in large pages."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "tidewatch_arenas", .m_methods = methods};

PyMODINIT_FUNC
PyInit_tidewatch_arenas(void)
{
    return PyModule_Create(&definition);
}
