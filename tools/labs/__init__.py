"""The course's machinery: tools/lab-export, tools/grade and tools/labs-check are made of these modules.

    manifest   labs/N-name/lab.json: which files a lab owns, its tasks, points and tests
    marks      the regions `/* lab 3.2 */` of the sources, and the stubs that stand for them
    export     the starter tree
    build      objects of everything else, made once; a submission's files compiled and linked to them
    lint       what a submission may name, define and include
    judge      runs, and believes only signed results
    report     the table and results.json
"""
